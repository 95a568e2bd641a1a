use serde::Serialize;

/// Where in a list a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pagination {
    /// How many there are on all pages.
    pub total: usize,
    /// Most that this page could list.
    pub limit: usize,
    /// How many come before this page.
    pub offset: usize,
    /// Whether more come after this page.
    pub has_more: bool,
}

impl Pagination {
    /// Of a page that lists so many.
    #[must_use]
    pub fn new(total: usize, limit: usize, offset: usize, listed: usize) -> Self {
        Self { total, limit, offset, has_more: offset.saturating_add(listed) < total }
    }
}
