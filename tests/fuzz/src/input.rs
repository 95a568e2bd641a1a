use tower_llm_gateway::protocol::report::Mode;
use tower_llm_gateway::protocol::{Answer, Layout, Protocol};

pub const REQUEST: u8 = b'0';
pub const ANSWER: u8 = b'1';
pub const ERROR: u8 = b'2';

/// Most bytes that a writer of the small kind may hold back.
const SMALL: usize = 256;

/// The bytes of a target: five choices, a line break, and what is read. As in `30aZZ\ndata: {}`.
pub struct Input<'i> {
    /// A request, an answer, an error, or else a stream.
    pub kind: u8,
    /// The writer's protocol.
    pub protocol: Protocol,
    /// How it is asked.
    flags: u8,
    /// Two places, of 256 in the body, where it is cut.
    cuts: [u8; 2],
    pub body: &'i [u8],
}

impl<'i> Input<'i> {
    pub fn read(bytes: &'i [u8]) -> Option<Self> {
        let [kind, protocol, flags, first, second, b'\n', body @ ..] = bytes else { return None };
        Some(Self {
            kind: b'0' + kind % 4,
            protocol: Protocol::ALL[usize::from(protocol % 5)],
            flags: *flags,
            cuts: [*first, *second],
            body,
        })
    }

    pub fn flag(&self, bit: u8) -> bool {
        self.flags & (1 << bit) != 0
    }

    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The body in three pieces.
    pub fn pieces(&self) -> [&'i [u8]; 3] {
        let mut cuts = self.cuts.map(|cut| self.body.len() * usize::from(cut) / 255);
        cuts.sort_unstable();
        let (head, rest) = self.body.split_at(cuts[0]);
        let (middle, tail) = rest.split_at(cuts[1] - cuts[0]);
        [head, middle, tail]
    }

    pub fn mode(&self) -> Mode {
        [Mode::Lenient, Mode::Default, Mode::Strict][usize::from(self.flags % 3)]
    }

    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        layout.json_array = self.flag(2);
        layout.snapshots = self.flag(3);
        layout.text_only = self.flag(4);
        layout.content_list = self.flag(5);
        layout
    }

    /// What a writer is told, always the same.
    pub fn answer(&self) -> Answer {
        let mut answer = Answer::new("asked", 1_700_000_000, 7);
        answer.include_usage = self.flag(0);
        if self.flag(1) {
            answer.max_accumulated = SMALL;
        }
        answer.layout = self.layout();
        answer
    }
}

/// What a failure shows of bytes.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 4000;
    String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned()
}
