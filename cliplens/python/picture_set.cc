#include "cliplens/python/picture_set.h"

#include <cstring>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens::python {
namespace nb = nanobind;
namespace {

class PictureSet : public ImageSet {
 public:
  PictureSet(std::string root, std::vector<PictureSource> pictures, nb::object read)
      : root_(std::move(root)), pictures_(std::move(pictures)), read_(std::move(read)) {}
  ~PictureSet() override {
    const nb::gil_scoped_acquire locked;
    read_.reset();
  }

  Index size() const override { return std::ssize(pictures_); }
  Item item(Index i) const override { return At(pictures_, i).item; }
  std::string path(Index i) const override { return At(pictures_, i).item.path; }
  std::string kind() const override { return "memory"; }
  std::string root() const override { return root_; }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return std::nullopt; }

  std::vector<std::uint8_t> Read(Index i) const override {
    const PictureSource& picture = At(pictures_, i);
    if (!picture.file.empty()) {
      return ReadFile(picture.file, Index{1} << 30, FileKind::kRegularOrPipe);
    }
    if (picture.samples) return EncodePng(TakeSamples(i));
    return Take<std::vector<std::uint8_t>>(i, [&](const nb::object& given) {
      const auto bytes = nb::cast<nb::bytes>(given);
      const auto* data = static_cast<const std::uint8_t*>(bytes.data());
      return std::vector<std::uint8_t>(data, data + bytes.size());
    });
  }

  std::optional<Image> Pixels(Index i) const override {
    if (!At(pictures_, i).samples) return std::nullopt;
    return TakeSamples(i);
  }

 private:
  Image TakeSamples(Index i) const {
    return Take<Image>(
        i, [&](const nb::object& given) { return PictureOf(nb::cast<Samples>(given), path(i)); });
  }

  // What `convert` makes of what Python gives for picture i, with Python's lock. Python's
  // exceptions become an Error that names the picture.
  template <typename Result, typename Convert>
  Result Take(Index i, const Convert& convert) const {
    const nb::gil_scoped_acquire locked;
    try {
      return convert(read_(i));
    } catch (nb::python_error& error) {
      const std::string what = nb::cast<std::string>(nb::str(error.value()));
      const std::string type = nb::cast<std::string>(error.type().attr("__name__"));
      throw Error(ErrorCode::kInvalidArgument, "{}: cannot be read: {}: {}", Printable(path(i)),
                  type, Printable(what));
    } catch (const nb::cast_error&) {
      throw Error(ErrorCode::kInvalidArgument, "{}: is neither bytes nor an array uint8",
                  Printable(path(i)));
    }
  }

  std::string root_;
  std::vector<PictureSource> pictures_;
  nb::object read_;
};

}  // namespace

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

std::shared_ptr<const ImageSet> MakePictureSet(std::string root,
                                               std::vector<PictureSource> pictures,
                                               nb::object read) {
  return std::make_shared<PictureSet>(std::move(root), std::move(pictures), std::move(read));
}

}  // namespace cliplens::python
