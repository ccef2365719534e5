// ImageNet-Segmentation ("ImageNet Auto-Annotation with Segmentation Propagation", IJCV 2014) as it
// is published: gtsegs_ijcv.mat, a MATLAB 7.3 file. /value/img[i] refers to the pixels [3, W, H],
// /value/gt[i] to a cell whose first element refers to the mask [W, H] of zeros and ones.
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/hdf5.h"
#include "cliplens/io/image.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/rehearsal.h"

namespace cliplens {
namespace {

constexpr Index kMaxPictures = 1'000'000;
constexpr int kRehearsalSeconds = 600;
constexpr const char* kPictures = "/value/img";
constexpr const char* kMasks = "/value/gt";

class ImagenetSegmentationSet : public ImageSet {
 public:
  explicit ImagenetSegmentationSet(std::filesystem::path root)
      : root_(std::move(root)),
        file_(root_),
        pictures_(file_.ReadReferences(kPictures, kMaxPictures)),
        masks_(file_.ReadReferences(kMasks, kMaxPictures)) {
    if (pictures_.empty() || pictures_.size() != masks_.size()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: {} has {} pictures, {} has {} masks; as many of both, and one at least, "
                  "were expected",
                  PathText(root_), kPictures, pictures_.size(), kMasks, masks_.size());
    }
  }

  Index size() const override { return static_cast<Index>(pictures_.size()); }
  Item item(Index i) const override { return {.path = path(i), .label = std::nullopt}; }
  std::string path(Index i) const override {
    CheckPictureIndex(i, size(), root());
    return fmt::format("img/{:05d}", i);
  }

  std::vector<std::uint8_t> Read(Index i) const override {
    CheckPictureIndex(i, size(), root());
    const Hdf5Bytes read = file_.ReadBytes(At(pictures_, i), 3 * kMaxPixels);
    if (read.shape.size() != 3 || read.shape[0] != 3) {
      throw Error(ErrorCode::kCorruptData, "{}: picture {} has shape [{}], [3, W, H] was expected",
                  PathText(root_), i, fmt::join(read.shape, ", "));
    }
    Image image = Sized(PixelMode::kRgb, read.shape[1], read.shape[2], i);
    const std::size_t plane = read.values.size() / 3;
    Transpose(image, [&](std::size_t from, std::size_t to) {
      for (std::size_t c = 0; c < 3; ++c) image.pixels[3 * to + c] = read.values[c * plane + from];
    });
    return EncodePng(image);
  }

  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    CheckPictureIndex(i, size(), root());
    const std::vector<Hdf5Reference> cell = file_.ReadReferences(At(masks_, i), kMaxPictures);
    if (cell.empty()) {
      throw Error(ErrorCode::kCorruptData, "{}: the cell of mask {} is empty", PathText(root_), i);
    }
    const Hdf5Bytes read = file_.ReadBytes(cell.front(), kMaxPixels);
    if (read.shape.size() != 2) {
      throw Error(ErrorCode::kCorruptData, "{}: mask {} has shape [{}], [W, H] was expected",
                  PathText(root_), i, fmt::join(read.shape, ", "));
    }
    Image image = Sized(PixelMode::kGray, read.shape[0], read.shape[1], i);
    Transpose(image,
              [&](std::size_t from, std::size_t to) { image.pixels[to] = read.values[from]; });
    return EncodePng(image);
  }

  // Reads a picture's or its mask's values and forgets them.
  void Touch(Index i, bool mask) const {
    const auto at = ToSize(i);
    if (!mask) {
      file_.ReadBytes(pictures_[at], 3 * kMaxPixels);
      return;
    }
    const std::vector<Hdf5Reference> cell = file_.ReadReferences(masks_[at], kMaxPictures);
    if (!cell.empty()) file_.ReadBytes(cell.front(), kMaxPixels);
  }

  std::string kind() const override { return "imagenet-segmentation"; }
  std::string root() const override { return root_.string(); }

 private:
  Image Sized(PixelMode mode, Index width, Index height, Index i) const {
    if (width < 1 || height < 1) {
      throw Error(ErrorCode::kCorruptData, "{}: picture {} has no pixels ({} x {})",
                  PathText(root_), i, width, height);
    }
    return NewImage(mode, width, height);
  }

  // MATLAB keeps columns one after the other: pixel (x, y) stands at x * H + y.
  template <typename Move>
  static void Transpose(const Image& image, Move move) {
    for (Index y = 0; y < image.height; ++y) {
      for (Index x = 0; x < image.width; ++x) {
        move(ToSize(x * image.height + y), ToSize(y * image.width + x));
      }
    }
  }

  std::filesystem::path root_;
  Hdf5File file_;
  std::vector<Hdf5Reference> pictures_;
  std::vector<Hdf5Reference> masks_;
};

}  // namespace

std::unique_ptr<ImageSet> OpenImagenetSegmentation(const std::filesystem::path& file) {
  // The HDF5 library crashes on some broken files, so everything in the file is first read in a
  // child process (some ten seconds for the published file).
  Rehearse(
      PathText(file),
      [&] {
        const ImagenetSegmentationSet set(file);
        for (Index i = 0; i < set.size(); ++i) {
          for (const bool mask : {false, true}) {
            try {
              set.Touch(i, mask);
            } catch (const Error&) {  // the others may be read all the same
            }
          }
        }
      },
      kRehearsalSeconds);
  return std::make_unique<ImagenetSegmentationSet>(file);
}

}  // namespace cliplens
