// Pictures that Python has in memory, as a set of pictures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/memory_set.h"

namespace cliplens::python {

// Samples [h, w] (grey) or [h, w, c] of 1 to 4 channels.
using Samples = nanobind::ndarray<const std::uint8_t, nanobind::c_contig, nanobind::device::cpu>;

// A copy as a picture. Throws Error(kInvalidArgument) for another shape.
Image PictureOf(const Samples& samples, const std::string& name);

// One picture: a file that is read here, or what `read(i)` gives, the bytes of a file or samples.
struct PictureSource {
  Item item;
  std::string file = {};  // empty: read(i)
};

// `root` begins with "memory:". `read` is called with Python's lock, by several threads.
std::shared_ptr<const ImageSet> MakePictureSet(std::string root,
                                               std::vector<PictureSource> pictures,
                                               nanobind::object read);

}  // namespace cliplens::python
