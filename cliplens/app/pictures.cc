#include "cliplens/app/pictures.h"

#include <set>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"

namespace cliplens {
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
  std::vector<std::uint8_t> Read(Index i) const override { return SetOf(i).Read(i); }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return SetOf(i).ReadMask(i);
  }
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

}  // namespace

std::unique_ptr<ImageSet> OpenImages(const ImagesChoice& choice) {
  return OpenImageSet(choice.images, choice.split);
}

std::unique_ptr<ImageSet> OpenImagesOf(const Store& store, const std::string& images) {
  const std::vector<DataSource>& data = store.info().data;
  if (!images.empty()) return OpenImageSet(images, data.size() == 1 ? data.front().split : "");
  std::vector<std::unique_ptr<ImageSet>> sets;
  std::set<std::pair<std::string, std::string>> opened;
  for (const DataSource& source : data) {
    if (!opened.emplace(source.root, source.split).second) continue;
    try {
      sets.push_back(OpenImageSet(source.root, source.split));
    } catch (const Error&) {
      return nullptr;
    }
  }
  if (sets.empty()) return nullptr;
  if (sets.size() == 1) return std::move(sets.front());
  return std::make_unique<JoinedSets>(std::move(sets));
}

Image ReadPicture(const std::string& path) {
  return DecodeImage(ReadFile(path, Index{1} << 30, FileKind::kRegularOrPipe), path);
}

}  // namespace cliplens
