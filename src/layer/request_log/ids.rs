/// Names requests so that no two rows share a name, whichever process wrote them: what callers name
/// their requests may repeat.
pub(super) struct Ids {
    /// By chance, once for each worker.
    prefix: u64,
    next: u64,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { prefix: fastrand::u64(..), next: 0 }
    }

    /// 32 hexadecimal digits; those of one worker are in order, which is how an index likes them.
    pub(super) fn next(&mut self) -> String {
        let id = format!("{:016x}{:016x}", self.prefix, self.next);
        self.next += 1;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_no_two_workers_have_the_same() {
        let (mut one, mut other) = (Ids::new(), Ids::new());
        let (first, second) = (one.next(), one.next());
        assert!(first < second && first.len() == 32 && second.len() == 32);
        assert_ne!(first, other.next());
    }
}
