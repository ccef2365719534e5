#include "cliplens/python/given_pictures.h"

#include <cstring>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens::python {
namespace nb = nanobind;
Image PictureOf(const Samples& samples, const std::string& name) {
  const std::size_t channels = samples.ndim() == 3 ? samples.shape(2) : 1;
  constexpr PixelMode kModes[] = {PixelMode::kGray, PixelMode::kGrayAlpha, PixelMode::kRgb,
                                  PixelMode::kRgba};
  if (samples.ndim() < 2 || samples.ndim() > 3 || channels < 1 || channels > 4 ||
      samples.size() == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: a picture is an array uint8 [h, w] or [h, w, 1 to 4] with a pixel in it",
                Printable(name));
  }
  const auto height = static_cast<Index>(samples.shape(0));
  const auto width = static_cast<Index>(samples.shape(1));
  if (width > kMaxPixels / height) {
    throw Error(ErrorCode::kExhausted, "{}: {} x {} pixels are more than {}", Printable(name),
                width, height, kMaxPixels);
  }
  Image image = NewImage(kModes[channels - 1], width, height);
  std::memcpy(image.pixels.data(), samples.data(), samples.size());
  return image;
}

RangeSet::ReadPicture ReadOf(nb::object read) {
  if (read.is_none()) return {};
  // The last copy may go in a thread without Python's lock.
  const std::shared_ptr<nb::object> shared(new nb::object(std::move(read)), [](nb::object* held) {
    const nb::gil_scoped_acquire locked;
    delete held;
  });
  return [shared](Index i) {
    const nb::gil_scoped_acquire locked;
    GivenPicture given;
    try {
      const nb::object picture = (*shared)(i);
      if (nb::isinstance<nb::bytes>(picture)) {
        const auto bytes = nb::cast<nb::bytes>(picture);
        const auto* data = static_cast<const std::uint8_t*>(bytes.data());
        given.bytes.assign(data, data + bytes.size());
      } else {
        given.image = PictureOf(nb::cast<Samples>(picture), fmt::format("picture {}", i));
      }
    } catch (nb::python_error& error) {
      const std::string what = nb::cast<std::string>(nb::str(error.value()));
      throw Error(ErrorCode::kInvalidArgument, "{}", what);
    } catch (const nb::cast_error&) {
      throw Error(ErrorCode::kInvalidArgument, "picture {}: is neither bytes nor an array uint8",
                  i);
    }
    return given;
  };
}

}  // namespace cliplens::python
