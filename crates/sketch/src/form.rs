//! The bytes of a sketch, all little-endian:
//!
//! | byte | is |
//! | --- | --- |
//! | 0 | words before the payload: 2 (list), 3 (set), 10 (registers) |
//! | 1, 2 | serial version 1, family 7 |
//! | 3 | lgK |
//! | 4 | the binary logarithm of the slots of a list (3) or set |
//! | 5 | flags: 4 empty, 8 compact, 16 registers were merged |
//! | 6 | coupons of a list |
//! | 7 | bits 0–1: 0 list, 1 set, 2 registers; bits 2–3: 2, a byte a register |
//! | 8–11 | coupons of a set |
//!
//! A coupon is a word: the register's value (6 bits), its number (26 bits). A list has up to 7, a set up to three
//! quarters of its slots; compact ones are packed, the others have zeros in the free slots, and in
//! a set each stands where probing finds it. Registers have before them, from byte 8: an estimate by the order of
//! arrival (a double), two sums over the registers (doubles), how many are zero (a word), a word of 0.

const LIST_BYTES: usize = 8;
const SET_BYTES: usize = 12;
const REGISTER_BYTES: usize = 40;
const LIST_LG_SLOTS: u8 = 3;
const SET_LG_SLOTS: u8 = 5;
/// A list becomes a set, or registers, when its last slot is taken.
const LIST_COUPONS_MAX: usize = 7;
/// What six bits hold; a larger one would shift the library's sums out of their words.
const REGISTER_MAX: u8 = 63;

const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
const MERGED: u8 = 16;
const LIST: u8 = 0;
const SET: u8 = 1;
const REGISTERS: u8 = 2;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .filter_map(|word| word.first_chunk())
        .map(|word| u32::from_le_bytes(*word))
        .collect()
}

/// The bytes as the library may read them, or what is wrong with them.
pub(crate) fn check(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let Some([words_before, version, family, lg_k, lg_slots, flags, listed, mode]) =
        bytes.first_chunk::<8>().copied()
    else {
        return Err(format!("{} bytes, fewer than its head has", bytes.len()));
    };
    if version != 1 || family != 7 {
        return Err("its head is another".to_owned());
    }
    if !(crate::LG_K_MIN..=crate::LG_K_MAX).contains(&lg_k) {
        return Err(format!("its lgConfigK is {lg_k}"));
    }
    if mode >> 2 & 3 != 2 {
        return Err("its registers are not of a byte each".to_owned());
    }
    match (mode & 3, words_before) {
        (LIST, 2) if lg_slots == LIST_LG_SLOTS => {
            check_list(bytes, usize::from(listed), flags)?;
            Ok(bytes.to_vec())
        }
        (SET, 3) if (SET_LG_SLOTS..=lg_k.saturating_sub(3)).contains(&lg_slots) => {
            check_set(bytes, lg_slots, flags)?;
            Ok(bytes.to_vec())
        }
        (REGISTERS, 10) => registers(bytes, lg_k, flags),
        _ => Err("its head contradicts itself".to_owned()),
    }
}

fn payload(bytes: &[u8], from: usize, wanted: usize) -> Result<&[u8], String> {
    match bytes.get(from..) {
        Some(payload) if payload.len() == wanted => Ok(payload),
        _ => Err(format!("{} bytes, not {}", bytes.len(), from + wanted)),
    }
}

fn check_coupons(coupons: &[u32]) -> Result<(), String> {
    let mut sorted = coupons.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a value is in it twice".to_owned());
    }
    // Of a value that was hashed there is always at least a one.
    match sorted.first() {
        Some(least) if least >> 26 == 0 => Err("an empty value is in it".to_owned()),
        _ => Ok(()),
    }
}

fn check_list(bytes: &[u8], count: usize, flags: u8) -> Result<(), String> {
    if count > LIST_COUPONS_MAX || (flags & EMPTY != 0) != (count == 0) {
        return Err(format!("a list of {count} values"));
    }
    if count == 0 && bytes.len() == LIST_BYTES {
        return Ok(());
    }
    let slots = if flags & COMPACT != 0 { count } else { 1 << LIST_LG_SLOTS };
    let slots = words(payload(bytes, LIST_BYTES, slots * 4)?);
    let (taken, free) = slots.split_at(count);
    if free.iter().any(|slot| *slot != 0) {
        return Err("it has more values than it counts".to_owned());
    }
    check_coupons(taken)
}

fn check_set(bytes: &[u8], lg_slots: u8, flags: u8) -> Result<(), String> {
    let size = 1_usize << lg_slots;
    let count = word(bytes, LIST_BYTES).map_or(usize::MAX, |count| count as usize);
    // Fuller ones would have grown; the library would look for a free slot for ever.
    if count == 0 || count > size / 4 * 3 {
        return Err(format!("a set of {count} values in {size} slots"));
    }
    if flags & COMPACT != 0 {
        return check_coupons(&words(payload(bytes, SET_BYTES, count * 4)?));
    }
    let slots = words(payload(bytes, SET_BYTES, size * 4)?);
    let taken: Vec<u32> = slots.iter().copied().filter(|slot| *slot != 0).collect();
    if taken.len() != count {
        return Err(format!("{} values, not {count}", taken.len()));
    }
    check_coupons(&taken)?;
    if taken.iter().all(|coupon| found(&slots, lg_slots, *coupon)) {
        Ok(())
    } else {
        Err("a value is not where it is looked for".to_owned())
    }
}

/// Whether probing finds a coupon: from its last bits on, by an odd stride of its own.
fn found(slots: &[u32], lg_slots: u8, coupon: u32) -> bool {
    let mask = slots.len() - 1;
    let stride = ((coupon & ((1 << 26) - 1)) >> lg_slots | 1) as usize;
    let mut at = coupon as usize & mask;
    for _ in 0..slots.len() {
        match slots[at] {
            0 => return false,
            slot if slot == coupon => return true,
            _ => at = (at + stride) & mask,
        }
    }
    false
}

/// Registers with a head that follows from them. Spark's union writes the least register and how many have it,
/// which the library would take for the number of zeros.
fn registers(bytes: &[u8], lg_k: u8, flags: u8) -> Result<Vec<u8>, String> {
    let values = payload(bytes, REGISTER_BYTES, 1 << lg_k)?;
    if values.iter().any(|value| *value > REGISTER_MAX) {
        return Err(format!("a register above {REGISTER_MAX}"));
    }
    let by_order = match bytes.get(8..).and_then(|rest| rest.first_chunk()) {
        Some(estimate) if flags & MERGED == 0 => f64::from_le_bytes(*estimate),
        _ => 0.0,
    };
    if !by_order.is_finite() || by_order < 0.0 {
        return Err(format!("its estimate is {by_order}"));
    }
    Ok(with_head(values, lg_k, (flags & MERGED == 0).then_some(by_order)))
}

/// A sketch of these registers; without an estimate by order, it is one that was merged.
fn with_head(values: &[u8], lg_k: u8, by_order: Option<f64>) -> Vec<u8> {
    let flags = if by_order.is_some() { 0 } else { MERGED };
    let mut sums = [0.0_f64; 2];
    let mut zeros = 0_u32;
    for value in values {
        // Two sums, so that both are exact whatever the order of adding.
        sums[usize::from(*value >= 32)] += (-f64::from(*value)).exp2();
        zeros += u32::from(*value == 0);
    }
    let mut bytes = Vec::with_capacity(REGISTER_BYTES + values.len());
    bytes.extend_from_slice(&[10, 1, 7, lg_k, 0, flags, 0, REGISTERS | 2 << 2]);
    bytes.extend_from_slice(&by_order.unwrap_or(0.0).to_le_bytes());
    bytes.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    bytes.extend_from_slice(&zeros.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(values);
    bytes
}

/// The one form of what the library wrote (compact, a byte a register): coupons in order, registers
/// without the estimate by the order of arrival.
pub(crate) fn canonical(mut bytes: Vec<u8>) -> Vec<u8> {
    let head = bytes.first_chunk::<8>().copied().unwrap_or_default();
    let from = match head[7] & 3 {
        LIST => LIST_BYTES,
        SET => SET_BYTES,
        _ => return with_head(bytes.get(REGISTER_BYTES..).unwrap_or_default(), head[3], None),
    };
    let mut coupons = words(bytes.get(from..).unwrap_or_default());
    coupons.sort_unstable();
    if head[7] & 3 == SET {
        // The least that holds them, whatever room there was.
        let fits = |lg_slots: &u8| coupons.len() <= (1_usize << lg_slots) / 4 * 3;
        bytes[4] = (SET_LG_SLOTS..head[3]).find(fits).unwrap_or(head[4]);
    }
    bytes.truncate(from);
    bytes.extend(coupons.iter().flat_map(|coupon| coupon.to_le_bytes()));
    bytes
}
