//! Listing fences, for the janitor: `SCAN` goes through the names of an epoch's keys, and a look tells
//! which of them are fenced. One page of one server a call.

use bytes::Bytes;
use trivium_codec::RowKey;
use trivium_store::{CacheEntry, CacheEpoch, CacheError, FencePage, RowCache as _};

use crate::{ValkeyCache, failure, keys, sweep::read_page};

/// Names that one call looks at, about. Their values come with them: small enough not to be felt.
const PAGE_KEYS: &str = "500";
/// The cursor's upper bits are the server's place among the primaries, the others are `SCAN`'s own: a
/// server counts up to the size of its table there, which is far below.
const SERVER_SHIFT: u32 = 56;
const SCAN_MASK: u64 = (1 << SERVER_SHIFT) - 1;

impl ValkeyCache {
    pub(crate) async fn list_fences(
        &self,
        epoch: CacheEpoch,
        cursor: u64,
    ) -> Result<FencePage, CacheError> {
        let servers = self.0.primaries()?;
        let place = usize::try_from(cursor >> SERVER_SHIFT).unwrap_or(usize::MAX);
        // Fewer servers than at the page before: that was all.
        let Some(server) = servers.get(place) else { return Ok((Vec::new(), 0)) };
        let pattern = format!("{}{}:*", keys::PREFIX, epoch.number);
        let arguments = [
            (cursor & SCAN_MASK).to_string(),
            "MATCH".to_owned(),
            pattern,
            "COUNT".to_owned(),
            PAGE_KEYS.to_owned(),
        ];
        let page = self.0.tell(server.as_ref(), "SCAN", arguments.to_vec()).await?;
        let (next, names) = read_page(page)?;
        let next: u64 = next.parse().map_err(|_| failure::odd_answer())?;
        let named = names.iter().filter_map(|name: &Bytes| keys::row_of(name));
        let named: Vec<RowKey> = named.filter(|key| !key.is_entity()).collect();
        let mut fences = Vec::new();
        for (key, entry) in named.iter().zip(self.look(epoch, &named).await) {
            match entry {
                Ok(CacheEntry::Fence(ids)) => fences.push((key.clone(), ids)),
                // One key with odd content must not hide what is behind it.
                Ok(_) | Err(CacheError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let is_over = next == 0 || next > SCAN_MASK;
        let cursor = match (is_over, place + 1 < servers.len()) {
            (false, _) => (cursor & !SCAN_MASK) | next,
            (true, true) => (cursor & !SCAN_MASK) + (1 << SERVER_SHIFT),
            (true, false) => 0,
        };
        Ok((fences, cursor))
    }
}
