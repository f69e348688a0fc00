//! How a field lies in a blob.

use core::ffi::CStr;
use core::marker::PhantomData;

/// The blob is shorter than its fields say, or holds a number without a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Takes fields off a blob.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next field.
    pub fn get<T: Field<'a>>(&mut self) -> Result<T, Malformed> {
        T::read(self)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }
}

/// What can lie in a blob.
pub trait Field<'a>: Sized {
    /// Takes it off the blob.
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed>;
}

impl<'a> Field<'a> for u32 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.take(4)?.try_into().map(u32::from_ne_bytes).map_err(|_| Malformed)
    }
}

impl<'a> Field<'a> for u64 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.take(8)?.try_into().map(u64::from_ne_bytes).map_err(|_| Malformed)
    }
}

impl<'a> Field<'a> for i32 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(r.get::<u32>()? as i32)
    }
}

impl<'a> Field<'a> for bool {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(r.get::<u32>()? != 0)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let n: u32 = r.get()?;
        r.take(n as usize)
    }
}

impl<'a> Field<'a> for &'a CStr {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let n: u32 = r.get()?;
        CStr::from_bytes_with_nul(r.take(n as usize + 1)?).map_err(|_| Malformed)
    }
}

impl<'a, A: Field<'a>, B: Field<'a>> Field<'a> for (A, B) {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok((r.get()?, r.get()?))
    }
}

impl<'a, A: Field<'a>, B: Field<'a>, C: Field<'a>> Field<'a> for (A, B, C) {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok((r.get()?, r.get()?, r.get()?))
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.get::<bool>()?.then(|| r.get()).transpose()
    }
}

/// Items that are decoded while one walks over them.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, T> {
    count: usize,
    items: Reader<'a>,
    of: PhantomData<fn() -> T>,
}

impl<'a, T: Field<'a>> Field<'a> for List<'a, T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = r.get::<u32>()? as usize;
        let items = Reader(r.get()?);
        Ok(List { count, items, of: PhantomData })
    }
}

impl<'a, T: Field<'a>> List<'a, T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Walks over them; ends early where the blob is malformed.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut items = self.items;
        (0..self.count).map_while(move |_| items.get().ok())
    }
}
