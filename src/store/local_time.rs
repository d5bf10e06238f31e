//! The hour of the day where the machine stands: `deleteWhen` is told in it.

/// The local hour, 0 to 23, at `ms` since the epoch; that of UTC where the system does not know better.
pub fn local_hour(ms: i64) -> u8 {
    let seconds: libc::time_t = ms.div_euclid(1000);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and a zeroed `tm` is a valid one whatever it returns.
    let hour = unsafe {
        let known = !libc::localtime_r(&seconds, parts.as_mut_ptr()).is_null();
        known.then(|| parts.assume_init_ref().tm_hour)
    };
    let utc = (seconds.div_euclid(3600)).rem_euclid(24);
    hour.and_then(|hour| u8::try_from(hour).ok()).unwrap_or(utc as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_later_the_hour_is_another() {
        let noon = 1_795_219_200_000;
        let hours: Vec<u8> = (0..24).map(|hour| local_hour(noon + hour * 3_600_000)).collect();
        let mut all = hours.clone();
        all.sort_unstable();
        assert_eq!(all, (0..24).collect::<Vec<u8>>());
    }
}
