mod answers;
mod cancel;
mod hedge;
mod kit;
mod moves;
mod random;
mod requests;
