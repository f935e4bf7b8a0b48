//! Compares a file's size with what its container announces: cheaper and surer than decoding to the end.
//!
//! ffmpeg forgives a cut AVI or WAV and calls the rest the whole; the sizes in their first bytes do not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The top-level boxes of an MP4 or QuickTime file that are walked; a fragmented film may have one pair per second.
const BOX_LIMIT: usize = 100_000;
/// How far off a size may be: writers disagree about padding.
const SLACK_BYTES: u64 = 8;
/// Sizes from here on mean "not known yet" in the headers of live recordings.
const UNKNOWN_RIFF_SIZE: u32 = 0x7fff_0000;

/// What a file lacks by its container's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The last part that was begun is longer than the file.
    #[error("it is {0} bytes shorter than its container announces")]
    Bytes(u64),
    /// There is no index; MP4 recorders write it last.
    #[error("its index is missing (no moov box)")]
    Index,
}

/// Returns what the file lacks; `None` when it is complete or its container does not say.
///
/// # Errors
/// When the file cannot be read.
pub fn lack(path: &Path) -> io::Result<Option<Lack>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    find(&mut file, length)
}

fn find(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<Lack>> {
    let mut start = [0_u8; 8];
    if length < 8 {
        return Ok(None);
    }
    file.read_exact(&mut start)?;
    let (end, indexed) = match &start[..4] {
        b"RIFF" => (riff_end(start), true),
        _ if is_known_box(&start[4..]) => walk_boxes(file, length)?,
        _ => return Ok(None),
    };
    let short = end.saturating_sub(length);
    Ok(match indexed {
        _ if short > SLACK_BYTES => Some(Lack::Bytes(short)),
        true => None,
        false => Some(Lack::Index),
    })
}

/// AVI and WAV: the second word is the size of all that follows it.
fn riff_end(start: [u8; 8]) -> u64 {
    match u32::from_le_bytes([start[4], start[5], start[6], start[7]]) {
        UNKNOWN_RIFF_SIZE.. => 0,
        size => u64::from(size) + 8,
    }
}

/// MP4 and QuickTime: walks from box to box. Returns where the last known one should end, and whether an index was seen.
fn walk_boxes(file: &mut (impl Read + Seek), length: u64) -> io::Result<(u64, bool)> {
    let (mut at, mut end, mut indexed) = (0_u64, 0, false);
    for _ in 0..BOX_LIMIT {
        let mut head = [0_u8; 16];
        let room = length.saturating_sub(at).min(16) as usize;
        if room < 8 {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head[..room])?;
        let kind = &head[4..8];
        // `meta` at the top is how still pictures (HEIC, AVIF) do without a moov.
        indexed |= kind == b"moov" || kind == b"meta";
        let [a, b, c, d, _, _, _, _, large @ ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 if room == 16 => u64::from_be_bytes(large),
            // 0 is "to the end of the file, wherever that is"; 1 to 7 make no sense.
            size => u64::from(size),
        };
        if size < 8 {
            break;
        }
        at = at.saturating_add(size);
        // Something unknown may be data that somebody appended; it makes no promise about its end.
        if is_known_box(kind) {
            end = at;
        }
    }
    Ok((end, indexed))
}

fn is_known_box(kind: &[u8]) -> bool {
    const KNOWN: [&[u8; 4]; 13] = [
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid",
        b"meta", b"pnot",
    ];
    KNOWN.iter().any(|known| kind == known.as_slice())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn check(bytes: &[u8], cut_to: usize) -> Option<Lack> {
        find(&mut Cursor::new(&bytes[..cut_to]), cut_to as u64).unwrap()
    }

    fn a_box(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let size = u32::try_from(body + 8).unwrap().to_be_bytes();
        [&size, kind.as_slice(), &vec![0; body]].concat()
    }

    #[test]
    fn a_riff_file_knows_its_size() {
        let wav = [b"RIFF".as_slice(), &92_u32.to_le_bytes(), b"WAVE", &[0; 88]].concat();
        assert_eq!(check(&wav, 100), None);
        assert_eq!(check(&wav, 92), None);
        assert_eq!(check(&wav, 50), Some(Lack::Bytes(50)));
        let live = [b"RIFF".as_slice(), &[0xff; 4], b"WAVE", &[0; 88]].concat();
        assert_eq!(check(&live, 50), None);
    }

    #[test]
    fn boxes_are_walked_to_the_last() {
        let film = [a_box(b"ftyp", 24), a_box(b"moov", 92), a_box(b"mdat", 492)].concat();
        assert_eq!(check(&film, film.len()), None);
        assert_eq!(check(&film, film.len() - 100), Some(Lack::Bytes(100)));
        assert_eq!(check(&film, 60), Some(Lack::Bytes(72)));
        let trailer = [film, b"made by hand, not a box".to_vec()].concat();
        assert_eq!(check(&trailer, trailer.len()), None);
    }

    #[test]
    fn a_film_without_an_index_lacks_it_even_when_cut_between_boxes() {
        let film = [a_box(b"ftyp", 24), a_box(b"mdat", 492), a_box(b"moov", 92)].concat();
        assert_eq!(check(&film, film.len()), None);
        assert_eq!(check(&film, 532), Some(Lack::Index));
        let photo = [a_box(b"ftyp", 24), a_box(b"meta", 92), a_box(b"mdat", 492)].concat();
        assert_eq!(check(&photo, photo.len()), None);
    }

    #[test]
    fn large_and_open_ended_boxes_are_understood() {
        let index = a_box(b"moov", 92);
        let mut large = [&index, 1_u32.to_be_bytes().as_slice(), b"mdat", &1_000_u64.to_be_bytes()].concat();
        large.resize(400, 0);
        assert_eq!(check(&large, 400), Some(Lack::Bytes(700)));
        large[100..104].copy_from_slice(&[0; 4]);
        assert_eq!(check(&large, 400), None);
        let hostile = [&1_u32.to_be_bytes(), b"mdat".as_slice(), &u64::MAX.to_be_bytes()].concat();
        assert_eq!(check(&hostile, 16), Some(Lack::Bytes(u64::MAX - 16)));
    }

    #[test]
    fn other_files_promise_nothing() {
        assert_eq!(check(b"Dear reader, this is a letter.", 30), None);
        assert_eq!(check(b"abc", 3), None);
    }
}
