#include "cliplens/app/pictures.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/memory_set.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

// Several sets as one, for stores that were merged.
class JoinedSets : public ImageSet {
 public:
  explicit JoinedSets(std::vector<std::unique_ptr<ImageSet>> sets) : sets_(std::move(sets)) {}

  Index size() const override {
    Index n = 0;
    for (const auto& set : sets_) n += set->size();
    return n;
  }
  Item item(Index i) const override { return SetOf(i).item(i); }
  std::string path(Index i) const override { return SetOf(i).path(i); }
  std::vector<std::uint8_t> Read(Index i) const override { return SetOf(i).Read(i); }
  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override {
    return SetOf(i).Pixels(i, options);
  }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return SetOf(i).ReadMask(i);
  }
  bool exif_orientation(Index i) const override { return SetOf(i).exif_orientation(i); }
  std::string kind() const override { return "joined"; }
  std::string root() const override { return sets_.front()->root(); }

 private:
  // The set that holds picture i; makes i its number there.
  const ImageSet& SetOf(Index& i) const {
    auto set = sets_.begin();
    while (i >= (*set)->size()) i -= (*set++)->size();
    return **set;
  }

  std::vector<std::unique_ptr<ImageSet>> sets_;
};

// Some pictures of a set.
class PartOfSet : public ImageSet {
 public:
  PartOfSet(std::unique_ptr<ImageSet> set, std::vector<Index> kept)
      : set_(std::move(set)), kept_(std::move(kept)) {}

  Index size() const override { return std::ssize(kept_); }
  Item item(Index i) const override { return set_->item(At(kept_, i)); }
  std::string path(Index i) const override { return set_->path(At(kept_, i)); }
  std::vector<std::uint8_t> Read(Index i) const override { return set_->Read(At(kept_, i)); }
  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override {
    return set_->Pixels(At(kept_, i), options);
  }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return set_->ReadMask(At(kept_, i));
  }
  bool exif_orientation(Index i) const override { return set_->exif_orientation(At(kept_, i)); }
  std::string kind() const override { return set_->kind(); }
  std::string root() const override { return set_->root(); }
  LeftOut left_out() const override { return set_->left_out(); }

 private:
  std::unique_ptr<ImageSet> set_;
  std::vector<Index> kept_;
};

}  // namespace

std::vector<Index> PicturesWith(const std::vector<Item>& items, const std::string& only,
                                const std::string& place) {
  const std::size_t sign = only.find('=');
  if (!only.empty() && sign == std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument, "--only {}: ATTRIBUTE=VALUE was expected", only);
  }
  const std::string attribute = only.substr(0, sign);
  std::vector<Index> pictures;
  for (Index i = 0; i < std::ssize(items); ++i) {
    const Item& item = At(items, i);
    const bool is_label = attribute == "label" && !item.attributes.contains(attribute);
    if (only.empty() ||
        LabelOf(item, is_label ? "" : attribute).value_or("") == only.substr(sign + 1)) {
      pictures.push_back(i);
    }
  }
  if (pictures.empty()) {
    throw Error(ErrorCode::kNotFound, "--only {}: no picture of {} is left", only, place);
  }
  return pictures;
}

std::unique_ptr<ImageSet> PartOf(std::unique_ptr<ImageSet> set, const std::string& only) {
  if (only.empty()) return set;
  std::vector<Item> items;
  for (Index i = 0; i < set->size(); ++i) items.push_back(set->item(i));
  std::vector<Index> kept = PicturesWith(items, only, set->root());
  return std::make_unique<PartOfSet>(std::move(set), std::move(kept));
}

std::unique_ptr<ImageSet> OpenImages(const ImagesChoice& choice, OnError on_error) {
  std::unique_ptr<ImageSet> set =
      OpenImageSet(choice.images, {.split = choice.split,
                                   .path_column = choice.path_column,
                                   .allow_absolute = choice.allow_absolute,
                                   .on_error = on_error});
  set->set_exif_orientation(choice.exif_orientation);
  return set;
}

namespace {

// What a set is opened with to show its pictures: whatever of it can be read.
ImageSetOptions OptionsOf(const DataSource& source) {
  return {.split = source.split,
          .path_column = source.path_column,
          .allow_absolute = source.allow_absolute,
          .on_error = OnError::kSkip};
}

}  // namespace

std::unique_ptr<ImageSet> OpenImagesOf(const Store& store, const std::string& images) {
  return OpenImagesOf(store.info(), images);
}

std::unique_ptr<ImageSet> OpenImagesOf(const StoreInfo& store, const std::string& images) {
  const std::vector<DataSource>& data = store.data;
  if (!images.empty()) {
    const bool same =
        data.size() == 1 && (data.front().kind != "table" || fs::is_regular_file(images));
    std::unique_ptr<ImageSet> set = OpenImageSet(
        images, same ? OptionsOf(data.front()) : ImageSetOptions{.on_error = OnError::kSkip});
    set->set_exif_orientation(TurnsUpright(store));
    return set;
  }
  std::vector<std::unique_ptr<ImageSet>> sets;
  std::set<std::pair<std::string, std::string>> opened;
  for (const DataSource& source : data) {
    if (!opened.emplace(source.root, source.split).second) continue;
    try {
      sets.push_back(OpenImageSet(RawName(source.root), OptionsOf(source)));
      sets.back()->set_exif_orientation(source.exif_orientation);
    } catch (const Error&) {
      return nullptr;
    }
  }
  if (sets.empty()) return nullptr;
  if (sets.size() == 1) return std::move(sets.front());
  return std::make_unique<JoinedSets>(std::move(sets));
}

bool TurnsUpright(const Store& store) { return TurnsUpright(store.info()); }

bool TurnsUpright(const StoreInfo& store) {
  return std::ranges::any_of(store.data, &DataSource::exif_orientation);
}

Image ReadPicture(const std::string& path, const PreprocessConfig& preprocess, bool upright) {
  if (IsMemoryRoot(path)) {
    const std::unique_ptr<ImageSet> set = OpenNamedSet(path);
    set->set_exif_orientation(upright);
    return DecodePicture(*set, 0, path, {.check_size = SizeCheckFor(preprocess)});
  }
  return DecodeImage(ReadFile(path, Index{1} << 30, FileKind::kRegularOrPipe), path,
                     {.exif_orientation = upright, .check_size = SizeCheckFor(preprocess)});
}

}  // namespace cliplens
