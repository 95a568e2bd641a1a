//! temporary
#[path = "demo/mod.rs"]
mod demo;

#[tokio::main]
async fn main() {
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on http://{}", l.local_addr().unwrap());
    axum::serve(l, demo::Demo::new().router()).await.unwrap();
}
