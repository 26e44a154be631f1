//! POSIX access ACLs, as far as they are permission bits too (acl(5); the bytes are those of the kernel's
//! `posix_acl_xattr.h`).

/// The extended attribute that holds one.
pub(super) const ACCESS: &str = "system.posix_acl_access";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The permission bits that come with an ACL; `None` where it is none.
pub(super) fn mode(acl: &[u8]) -> Option<u32> {
    let (version, entries) = acl.split_first_chunk()?;
    if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let bits = |tag: u16| {
        let mut entries = entries.chunks_exact(8);
        entries.find(|entry| entry[..2] == tag.to_le_bytes()).map(|entry| u32::from(entry[2] & 7))
    };
    // Where there is a mask, it is what the bits of the group show.
    let group = bits(MASK).or_else(|| bits(GROUP_OBJ))?;
    Some(bits(USER_OBJ)? << 6 | group << 3 | bits(OTHER)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_an_acl_are_those_of_owner_mask_and_others() {
        let entry =
            |tag: u16, bits: u16, id: u32| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
        let version = VERSION.to_le_bytes().to_vec();
        let plain = [version.clone(), entry(1, 6, !0), entry(4, 5, !0), entry(32, 4, !0)].concat();
        assert_eq!(mode(&plain), Some(0o654));
        let masked = [version, entry(1, 7, !0), entry(2, 7, 1000), entry(4, 7, !0), entry(16, 4, !0), entry(32, 0, !0)];
        assert_eq!(mode(&masked.concat()), Some(0o740));
        assert_eq!(mode(b"\x02\0\0\0\x01"), None);
        assert_eq!(mode(b""), None);
    }
}
