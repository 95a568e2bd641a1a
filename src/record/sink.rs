use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::{Begun, Record};

/// Is told of every request: when it arrives, when the headers of its answer are there, and when
/// it has ended, whichever way.
///
/// Called while a request is polled or dropped: it must neither wait nor panic. Two sinks are one
/// as a tuple, one that may be absent is an `Option`, and one that is shared an `Arc`.
pub trait Sink {
    /// What the sink keeps of one request while it is under way.
    type Open;

    /// A request has arrived. Its headers go on to the inner service as they are left here.
    fn begun(&self, begun: &Arc<Begun>, headers: &mut HeaderMap) -> Self::Open;

    /// The headers of the answer are here.
    fn answered(&self, open: &mut Self::Open, status: StatusCode) {
        let _ = (open, status);
    }

    /// The request has ended.
    fn ended(&self, open: Self::Open, record: &Arc<Record>);
}

impl<K: Sink + ?Sized> Sink for Arc<K> {
    type Open = K::Open;

    fn begun(&self, begun: &Arc<Begun>, headers: &mut HeaderMap) -> Self::Open {
        (**self).begun(begun, headers)
    }

    fn answered(&self, open: &mut Self::Open, status: StatusCode) {
        (**self).answered(open, status);
    }

    fn ended(&self, open: Self::Open, record: &Arc<Record>) {
        (**self).ended(open, record);
    }
}

impl<K: Sink> Sink for Option<K> {
    type Open = Option<K::Open>;

    fn begun(&self, begun: &Arc<Begun>, headers: &mut HeaderMap) -> Self::Open {
        self.as_ref().map(|sink| sink.begun(begun, headers))
    }

    fn answered(&self, open: &mut Self::Open, status: StatusCode) {
        if let (Some(sink), Some(open)) = (self, open) {
            sink.answered(open, status);
        }
    }

    fn ended(&self, open: Self::Open, record: &Arc<Record>) {
        if let (Some(sink), Some(open)) = (self, open) {
            sink.ended(open, record);
        }
    }
}

macro_rules! tuple {
    ($($sink:ident $index:tt),+) => {
        impl<$($sink: Sink),+> Sink for ($($sink,)+) {
            type Open = ($($sink::Open,)+);

            fn begun(&self, begun: &Arc<Begun>, headers: &mut HeaderMap) -> Self::Open {
                ($(self.$index.begun(begun, headers),)+)
            }

            fn answered(&self, open: &mut Self::Open, status: StatusCode) {
                $(self.$index.answered(&mut open.$index, status);)+
            }

            fn ended(&self, open: Self::Open, record: &Arc<Record>) {
                $(self.$index.ended(open.$index, record);)+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
