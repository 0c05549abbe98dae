//! Windows of convolutions and pools: which place of an image is under which place of a window.

/// Places of a window that the largest is taken of: each but one is a cell.
pub const LARGEST_POOL: usize = 1 << 12;

/// Pads are top, left, bottom, right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub pads: [usize; 4],
}

impl Window {
    /// Each below 2^32.
    pub fn places(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The shape of what so many channels of windows over an image of this size give.
    pub fn image(&self, channels: usize, image: [usize; 2]) -> Result<Vec<usize>, String> {
        let mut shape = vec![channels];
        for axis in 0..2 {
            let size = image[axis] + self.pads[axis] + self.pads[axis + 2];
            if self.kernel[axis] > size {
                return Err(format!(
                    "has windows of {} by {} on {} by {} with pads {:?}",
                    self.kernel[0], self.kernel[1], image[0], image[1], self.pads
                ));
            }
            shape.push((size - self.kernel[axis]) / self.strides[axis] + 1);
        }
        Ok(shape)
    }

    /// A window that the largest is taken of has a place in the image, and not too many.
    pub fn check_largest(&self) -> Result<(), String> {
        let [height, width] = self.kernel;
        let pads = self.pads;
        if pads.iter().zip([height, width, height, width]).any(|(&pad, size)| pad >= size) {
            return Err(format!("has pads {pads:?} around windows of {height} by {width}"));
        }
        match self.places() {
            places if places > LARGEST_POOL => {
                Err(format!("takes the largest of {places} places, {LARGEST_POOL} are the most"))
            }
            _ => Ok(()),
        }
    }

    /// For each window in order, the place of the image (within a channel) that is under this place of the window.
    pub fn under(&self, place: usize, image: [usize; 2], given: [usize; 2]) -> impl Iterator<Item = Option<usize>> {
        let (down, right) = (place / self.kernel[1], place % self.kernel[1]);
        let Self { strides, pads, .. } = *self;
        (0..given[0]).flat_map(move |row| {
            let row = (row * strides[0] + down).checked_sub(pads[0]).filter(|&row| row < image[0]);
            (0..given[1]).map(move |column| {
                let column = (column * strides[1] + right).checked_sub(pads[1]).filter(|&column| column < image[1]);
                Some(row? * image[1] + column?)
            })
        })
    }
}
