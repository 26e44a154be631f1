//! Every verb of `Disk`, once, and what is made of each.

/// Hands all verbs to the macro `$each`. Before each stands which [`Call`](crate::Call) it is:
///
/// * `seen`: the layer is asked before and told after;
/// * `told`: the same, and as it cannot fail it cannot be refused;
/// * `aside`: a question that changes nothing, is put before the call that counts or to the machine rather than to the
///   disk, and has no [`Verb`](crate::Verb). It goes past `before` and `after`.
macro_rules! verbs {
    ($each:ident) => {
        $each! {
            seen(Call::new(Verb::OpenRoot, path)) fn open_root(&self, path: &Path) -> io::Result<Dir>;
            seen(Call::new(Verb::OpenDir, path.to_path())) fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir>;
            seen(Call::new(Verb::of_open(how), name)) fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File>;
            seen(Call::new(Verb::Stat, name)) fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta>;
            seen(Call::of(Verb::StatDir)) fn stat_dir(&self, dir: &Dir) -> io::Result<Meta>;
            seen(Call::of(Verb::StatFile)) fn stat_file(&self, file: &File) -> io::Result<Meta>;
            seen(Call::of(Verb::SetTimes)) fn stamp(&self, file: &File, now: Time) -> io::Result<Meta>;
            seen(Call::of(Verb::List)) fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>>;
            seen(Call::new(Verb::ReadLink, name)) fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString>;
            seen(Call::of(Verb::ReadAt).bytes(buf.len()))
                fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
            seen(Call::of(Verb::Map)) fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>>;
            seen(Call::of(Verb::NextData)) fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>>;
            seen(Call::new(Verb::Xattrs, name))
                fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;
            seen(Call::new(Verb::Xattrs, name))
                fn xattrs_of_file(&self, file: &File, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>>;
            aside fn may_change_names(&self, at: &Dir, name: &OsStr) -> io::Result<bool>;
            seen(Call::of(Verb::Space)) fn space(&self, dir: &Dir) -> io::Result<u64>;
            aside fn power_loss(&self, dir: &Dir) -> io::Result<PowerLoss>;
            aside fn network(&self, dir: &Dir) -> io::Result<Option<String>>;
            aside fn keeps_one_tree(&self, dir: &Dir) -> io::Result<bool>;
            aside fn unwritten(&self) -> Option<u64>;
            aside fn mount_id(&self, dir: &Dir) -> io::Result<Option<MountId>>;
            told(Call::of(Verb::BootId)) fn boot_id(&self) -> String;
            aside fn now(&self) -> Time;
            told(Call::of(Verb::User)) fn user(&self) -> u32;
            seen(Call::new(Verb::CreateDir, name)) fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
            seen(Call::new(Verb::RemoveDir, name)) fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
            seen(Call::new(Verb::RemoveFile, name)) fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()>;
            seen(Call::new(Verb::Symlink, name).with(target))
                fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()>;
            seen(Call::new(Verb::HardLink, name).with(to_name))
                fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()>;
            seen(Call::new(Verb::MakeNode, name)) fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()>;
            seen(Call::new(Verb::Rename, name).with(to_name))
                fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()>;
            seen(Call::of(Verb::WriteAt).bytes(buf.len()))
                fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize>;
            seen(Call::of(Verb::WriteAt).bytes(bufs.iter().map(|buf| buf.len()).sum()))
                fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
            seen(Call::of(Verb::SetLen)) fn set_len(&self, file: &File, len: u64) -> io::Result<()>;
            aside fn overwrite_in_place(&self, file: &File) -> io::Result<bool>;
            seen(Call::of(Verb::Reflink)) fn reflink(&self, from: &File, to: &File) -> io::Result<()>;
            seen(Call::new(Verb::SetMode, name)) fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()>;
            seen(Call::new(Verb::SetOwner, name))
                fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()>;
            seen(Call::new(Verb::SetTimes, name))
                fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()>;
            seen(Call::new(Verb::SetXattr, name).with(key).bytes(value.len()))
                fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()>;
            seen(Call::new(Verb::RemoveXattr, name).with(key))
                fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()>;
            seen(Call::of(Verb::SyncData)) fn sync_data(&self, file: &File) -> io::Result<()>;
            seen(Call::of(Verb::SyncFile)) fn sync_file(&self, file: &File) -> io::Result<()>;
            seen(Call::of(Verb::SyncDir)) fn sync_dir(&self, dir: &Dir) -> io::Result<()>;
            seen(Call::of(Verb::SyncAll)) fn sync_all(&self, dir: &Dir) -> io::Result<()>;
            seen(Call::of(Verb::TryLock)) fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool>;
            seen(Call::of(Verb::Unlock)) fn unlock(&self, file: &File) -> io::Result<()>;
            aside fn lockers(&self, file: &File) -> io::Result<Vec<Locker>>;
        }
    };
}

/// The verbs of `Layer`: what becomes of a call that the layer does not take over.
macro_rules! pass_on {
    ($($way:ident $(($call:expr))? fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(
            #[doc = concat!("[`Disk::", stringify!($name), "`], passed on.")]
            fn $name(&self $(, $arg: $type)*) -> $out {
                pass_on! { @$way self, $($call,)? self.inner().$name($($arg),*) }
            }
        )*
    };
    (@seen $layer:ident, $call:expr, $pass:expr) => {{
        let call = $call;
        let verb = call.verb;
        $layer.before(call)?;
        let out = $pass;
        $layer.after(verb);
        out
    }};
    (@told $layer:ident, $call:expr, $pass:expr) => {{
        let call = $call;
        let verb = call.verb;
        $layer.before(call).unwrap_or_default();
        let out = $pass;
        $layer.after(verb);
        out
    }};
    (@aside $layer:ident, $pass:expr) => {
        $pass
    };
}

/// The verbs of `Disk`, for any layer.
macro_rules! ask_the_layer {
    ($($way:ident $(($call:expr))? fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> $out {
            Layer::$name(self $(, $arg)*)
        })*
    };
}

pub(super) use {ask_the_layer, pass_on, verbs};
