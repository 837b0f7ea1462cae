//! The buffer that JSON answers are written into.

/// More than the longest text of a number (`-1.7976931348623157e308`) and a comma.
const ROOM: usize = 32;

/// How much room is made at once behind the text.
const ROOM_STEP: usize = 512;

/// Text with room behind it. A number is placed there in pieces whose lengths the compiler knows: a
/// call of `memmove` for each value costs as much as making its digits, and so does putting the
/// pieces together elsewhere to copy them here.
pub(crate) struct JsonBuffer {
    /// The text up to `end`, room behind it.
    bytes: Vec<u8>,
    end: usize,
}

impl JsonBuffer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), end: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.end
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }

    /// Appends whatever `write` writes.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.truncate(self.end);
        write(&mut self.bytes);
        self.end = self.bytes.len();
    }

    /// Appends a number's text, after a comma if there is to be one.
    #[inline]
    pub(crate) fn number(&mut self, comma: bool, text: &str) {
        let text = text.as_bytes();
        if self.bytes.len() - self.end < ROOM {
            self.bytes.resize(self.end + ROOM_STEP, 0);
        }
        let start = usize::from(comma);
        let room: Option<&mut [u8; ROOM]> =
            self.bytes.get_mut(self.end..).and_then(|room| room.first_chunk_mut());
        match room {
            Some(room) if text.len() < ROOM => {
                room[0] = b',';
                match text.len() {
                    16.. => place::<16>(room, start, text),
                    8..16 => place::<8>(room, start, text),
                    4..8 => place::<4>(room, start, text),
                    0..4 => {
                        room[start..].iter_mut().zip(text).for_each(|(to, from)| *to = *from);
                    }
                }
                self.end += start + text.len();
            }
            // No number of ours is as long.
            _ => self.append(|out| {
                out.extend_from_slice(if comma { b"," } else { b"" });
                out.extend_from_slice(text);
            }),
        }
    }
}

/// Places between `N` and 2·`N` bytes, as two pieces that may overlap.
#[inline]
fn place<const N: usize>(room: &mut [u8; ROOM], start: usize, text: &[u8]) {
    let end = start + text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        room[start..start + N].copy_from_slice(first);
        room[end - N..end].copy_from_slice(last);
    }
}
