//! Tensors at the border of a model: what callers hand in, and what they get back.
//!
//! A kind says what an input looks like in Rust:
//!
//! ```text
//! [[f32; 3]; 2]           all extents known                     Input::from_slice(&pixels)
//! [[f32; 3]]              the first extent is a symbol          Input::from_slice(&rows)
//! Shaped<f32, (A, B)>     any extents; values of the symbols    Input::with_dims(&flat, (A(4), B(7)))
//! ```

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use super::error::{Error, StepError};
use super::memory::{self, Nested, Plain, flat};
use super::sizes::count;

/// What an input looks like in Rust.
pub trait Kind {
    /// What it is made of.
    type Element: Plain;
    /// What is not known from the type.
    type Dims: Copy;
    /// What is not known from the type, from a number of elements; or the number that they must be a multiple of.
    fn dims_of(elements: usize) -> Result<Self::Dims, usize>;
}

impl<T: Nested> Kind for T {
    type Element = T::Element;
    type Dims = ();
    fn dims_of(elements: usize) -> Result<(), usize> {
        if elements == T::COUNT { Ok(()) } else { Err(T::COUNT) }
    }
}

impl<T: Nested> Kind for [T] {
    type Element = T::Element;
    type Dims = usize;
    fn dims_of(elements: usize) -> Result<usize, usize> {
        if elements.checked_rem(T::COUNT) == Some(0) { Ok(elements / T::COUNT) } else { Err(T::COUNT) }
    }
}

/// A tensor of any extents; `D` gives the values of the symbols in them.
pub struct Shaped<T, D>(PhantomData<(T, D)>);

impl<T: Plain, D: Copy> Kind for Shaped<T, D> {
    type Element = T;
    type Dims = D;
    fn dims_of(_elements: usize) -> Result<D, usize> {
        Err(0)
    }
}

/// Memory that can be taken as an input of kind `T` without copying.
pub trait Source<T: Kind + ?Sized> {
    /// The elements.
    fn elements(&self) -> &[T::Element];
    /// What is not known from the type.
    fn dims(&self) -> T::Dims;
}

impl<T: Nested> Source<T> for T {
    fn elements(&self) -> &[T::Element] {
        flat(std::slice::from_ref(self))
    }
    fn dims(&self) {}
}

impl<T: Nested> Source<[T]> for [T] {
    fn elements(&self) -> &[T::Element] {
        flat(self)
    }
    fn dims(&self) -> usize {
        self.len()
    }
}

impl<T: Nested, const N: usize> Source<[T]> for [T; N] {
    fn elements(&self) -> &[T::Element] {
        flat(self)
    }
    fn dims(&self) -> usize {
        N
    }
}

impl<T: Nested> Source<[T]> for Vec<T> {
    fn elements(&self) -> &[T::Element] {
        flat(self)
    }
    fn dims(&self) -> usize {
        self.len()
    }
}

/// One input of a call: borrowed, dense, row-major.
pub struct Input<'a, T: Kind + ?Sized> {
    elements: &'a [T::Element],
    dims: T::Dims,
}

impl<T: Kind + ?Sized> Clone for Input<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Kind + ?Sized> Copy for Input<'_, T> {}

impl<T: Kind + ?Sized> std::fmt::Debug for Input<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input of {} elements", self.elements.len())
    }
}

impl<'a, T: Kind + ?Sized> Input<'a, T> {
    /// Nested arrays as they lie in memory. Arrays of another nesting do not compile.
    pub fn from_slice<S: Source<T> + ?Sized>(source: &'a S) -> Result<Self, Error> {
        Ok(Input { elements: source.elements(), dims: source.dims() })
    }

    /// Elements in row-major order; their number is checked.
    pub fn from_flat(elements: &'a [T::Element]) -> Result<Self, Error> {
        match T::dims_of(elements.len()) {
            Ok(dims) => Ok(Input { elements, dims }),
            Err(expected) => Err(Error::InputLength { input: "", expected, found: elements.len() }),
        }
    }

    /// Elements in row-major order, and the values of the symbols in the shape. Checked when the model is run.
    pub fn with_dims(elements: &'a [T::Element], dims: T::Dims) -> Self {
        Input { elements, dims }
    }

    /// The elements in row-major order.
    pub fn elements(&self) -> &'a [T::Element] {
        self.elements
    }

    /// What is not known from the type.
    pub fn dims(&self) -> T::Dims {
        self.dims
    }
}

/// A dense tensor of `RANK` dims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a, T, const RANK: usize> {
    elements: &'a [T],
    shape: [usize; RANK],
}

/// A dense tensor of `RANK` dims, to be written.
#[derive(Debug)]
pub struct TensorViewMut<'a, T, const RANK: usize> {
    elements: &'a mut [T],
    shape: [usize; RANK],
}

impl<'a, T, const RANK: usize> TensorView<'a, T, RANK> {
    /// Elements in row-major order; their number is checked.
    pub fn new(elements: &'a [T], shape: [usize; RANK]) -> Result<Self, Error> {
        let (expected, found) = (count(&shape), elements.len());
        if expected != found {
            return Err(Error::InputLength { input: "", expected, found });
        }
        Ok(TensorView { elements, shape })
    }

    /// Extents.
    pub fn shape(&self) -> [usize; RANK] {
        self.shape
    }

    /// Elements in row-major order.
    pub fn elements(&self) -> &'a [T] {
        self.elements
    }

    /// The element at these indices, if they are inside.
    pub fn get(&self, index: [usize; RANK]) -> Option<&'a T> {
        self.elements.get(position(self.shape, index)?)
    }
}

/// An error unless a tensor of this shape has so many elements.
pub fn fits(input: &'static str, shape: &[usize], elements: usize) -> Result<(), Error> {
    let expected = count(shape);
    if expected == elements { Ok(()) } else { Err(Error::InputLength { input, expected, found: elements }) }
}

/// An output of known extents.
pub fn one<'a, T: Nested>(output: &'static str, elements: &'a [T::Element]) -> Result<&'a T, Error> {
    let wrong = Error::InputLength { input: output, expected: T::COUNT, found: elements.len() };
    memory::one(elements).ok_or(wrong)
}

/// An output whose first extent is known while running only.
pub fn many<'a, T: Nested>(
    output: &'static str,
    elements: &'a [T::Element],
    shape: &[usize],
) -> Result<&'a [T], Error> {
    let rows = shape.first().copied().unwrap_or(0);
    let wrong = Error::InputLength { input: output, expected: count(shape), found: elements.len() };
    memory::many(elements, rows).ok_or(wrong)
}

/// Zero elements for a shape.
pub fn owned<T: Nested, const RANK: usize>(shape: [usize; RANK]) -> Result<(Vec<T>, [usize; RANK]), StepError> {
    Ok((memory::zeroes(count(&shape))?, shape))
}

impl<T, const RANK: usize> Index<[usize; RANK]> for TensorView<'_, T, RANK> {
    type Output = T;
    #[allow(clippy::indexing_slicing, reason = "the caller's indexing, which panics as that of slices does")]
    fn index(&self, index: [usize; RANK]) -> &T {
        &self.elements[position(self.shape, index).unwrap_or(usize::MAX)]
    }
}

impl<'a, T, const RANK: usize> TensorViewMut<'a, T, RANK> {
    /// Elements that a session made for this shape.
    pub fn over(elements: &'a mut [T], shape: [usize; RANK]) -> Self {
        TensorViewMut { elements, shape }
    }

    /// Elements in row-major order; their number is checked.
    pub fn new(elements: &'a mut [T], shape: [usize; RANK]) -> Result<Self, Error> {
        let (expected, found) = (count(&shape), elements.len());
        if expected != found {
            return Err(Error::InputLength { input: "", expected, found });
        }
        Ok(TensorViewMut { elements, shape })
    }

    /// Extents.
    pub fn shape(&self) -> [usize; RANK] {
        self.shape
    }

    /// Elements in row-major order.
    pub fn elements(self) -> &'a mut [T] {
        self.elements
    }

    /// Copies all elements in.
    pub fn copy_from(&mut self, from: TensorView<'_, T, RANK>) -> Result<(), Error>
    where
        T: Copy,
    {
        if self.shape != from.shape || self.elements.len() != from.elements.len() {
            let (expected, found) = (self.elements.len(), from.elements.len());
            return Err(Error::InputLength { input: "", expected, found });
        }
        self.elements.copy_from_slice(from.elements);
        Ok(())
    }
}

impl<T, const RANK: usize> Index<[usize; RANK]> for TensorViewMut<'_, T, RANK> {
    type Output = T;
    #[allow(clippy::indexing_slicing, reason = "the caller's indexing, which panics as that of slices does")]
    fn index(&self, index: [usize; RANK]) -> &T {
        &self.elements[position(self.shape, index).unwrap_or(usize::MAX)]
    }
}

impl<T, const RANK: usize> IndexMut<[usize; RANK]> for TensorViewMut<'_, T, RANK> {
    #[allow(clippy::indexing_slicing, reason = "the caller's indexing, which panics as that of slices does")]
    fn index_mut(&mut self, index: [usize; RANK]) -> &mut T {
        &mut self.elements[position(self.shape, index).unwrap_or(usize::MAX)]
    }
}

fn position<const RANK: usize>(shape: [usize; RANK], index: [usize; RANK]) -> Option<usize> {
    let mut position = 0usize;
    for (i, extent) in index.into_iter().zip(shape) {
        if i >= extent {
            return None;
        }
        position = position.checked_mul(extent)?.checked_add(i)?;
    }
    Some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_arrays_are_inputs_of_their_own_type() {
        let pixels = [[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let whole: Input<'_, [[f32; 3]; 2]> = Input::from_slice(&pixels).unwrap();
        let rows: Input<'_, [[f32; 3]]> = Input::from_slice(&pixels).unwrap();
        assert_eq!((whole.elements().len(), rows.dims()), (6, 2));
        assert_eq!(Input::<[[f32; 3]]>::from_flat(&[0.0; 9]).unwrap().dims(), 3);
        assert!(Input::<[[f32; 3]]>::from_flat(&[0.0; 10]).is_err());
        assert!(Input::<[[f32; 3]; 2]>::from_flat(&[0.0; 9]).is_err());
    }

    #[test]
    fn views_index_by_all_dims() {
        let elements: Vec<i64> = (0..6).collect();
        let view = TensorView::new(&elements, [2, 3]).unwrap();
        assert_eq!((view[[1, 0]], view.get([1, 3])), (3, None));
        assert!(TensorView::new(&elements, [2, 2]).is_err());
    }
}
