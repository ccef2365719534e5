// Pictures that Python has in memory, for sets of pictures.
#pragma once

#include <memory>
#include <string>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "cliplens/decompose/range_set.h"
#include "cliplens/io/image.h"

namespace cliplens::python {

// Samples [h, w] (grey) or [h, w, c] of 1 to 4 channels.
using Samples = nanobind::ndarray<const std::uint8_t, nanobind::c_contig, nanobind::device::cpu>;

// A copy as a picture. Throws Error(kInvalidArgument) for another shape.
Image PictureOf(const Samples& samples, const std::string& name);

// What `read(i)` gives, the bytes of a file or samples; `read` is called with Python's lock. An
// exception becomes an Error that names the picture: that of cliplens as it is.
RangeSet::ReadPicture ReadOf(nanobind::object read);

}  // namespace cliplens::python
