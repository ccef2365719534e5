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
    Given given = Take(i);
    return given.image ? EncodePng(*given.image) : std::move(given.bytes);
  }

  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override {
    const PictureSource& picture = At(pictures_, i);
    if (!picture.file.empty()) return std::nullopt;
    Given given = Take(i);
    if (!given.image) return DecodeImage(given.bytes, picture.item.path, options);
    if (options.check_size) options.check_size(given.image->width, given.image->height);
    return std::move(given.image);
  }

 private:
  struct Given {
    std::optional<Image> image;
    std::vector<std::uint8_t> bytes;
  };

  // What Python gives for picture i. Its exceptions become an Error that names the picture.
  Given Take(Index i) const {
    const nb::gil_scoped_acquire locked;
    try {
      const nb::object picture = read_(i);
      Given given;
      if (nb::isinstance<nb::bytes>(picture)) {
        const auto bytes = nb::cast<nb::bytes>(picture);
        const auto* data = static_cast<const std::uint8_t*>(bytes.data());
        given.bytes.assign(data, data + bytes.size());
      } else {
        given.image = PictureOf(nb::cast<Samples>(picture), path(i));
      }
      return given;
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
