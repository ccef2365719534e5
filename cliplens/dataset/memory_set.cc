#include "cliplens/dataset/memory_set.h"

#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/registry.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// By name.
Registry<std::shared_ptr<const ImageSet>>& NamedSets() {
  static Registry<std::shared_ptr<const ImageSet>> named;
  return named;
}

// Shares a set, with an orientation of its own.
class SharedSet : public ImageSet {
 public:
  explicit SharedSet(std::shared_ptr<const ImageSet> set) : set_(std::move(set)) {}

  Index size() const override { return set_->size(); }
  Item item(Index i) const override { return set_->item(i); }
  std::string path(Index i) const override { return set_->path(i); }
  std::vector<std::uint8_t> Read(Index i) const override { return set_->Read(i); }
  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override {
    return set_->Pixels(i, options);
  }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index i) const override {
    return set_->ReadMask(i);
  }
  std::string kind() const override { return set_->kind(); }
  std::string root() const override { return set_->root(); }
  std::string paths_checksum() const override { return set_->paths_checksum(); }
  std::string split() const override { return set_->split(); }
  std::string path_column() const override { return set_->path_column(); }
  bool allow_absolute() const override { return set_->allow_absolute(); }
  LeftOut left_out() const override { return set_->left_out(); }

 private:
  std::shared_ptr<const ImageSet> set_;
};

}  // namespace

bool IsMemoryRoot(const std::filesystem::path& path) {
  return path.native().starts_with(kMemoryRoot);
}

NamedImageSet::NamedImageSet(std::string name, std::shared_ptr<const ImageSet> set)
    : set_(std::move(set)), name_(std::move(name)) {
  if (!IsMemoryRoot(name_)) {
    throw Error(ErrorCode::kInvalidArgument, "{}: the name of a set in memory begins with '{}'",
                Printable(name_), kMemoryRoot);
  }
  if (!NamedSets().Add(name_, set_)) {
    throw Error(ErrorCode::kPrecondition,
                "{}: another set of pictures in memory has this name; give this one its own",
                Printable(name_));
  }
}

NamedImageSet::~NamedImageSet() { NamedSets().Remove(name_); }

std::unique_ptr<ImageSet> OpenNamedSet(const std::string& name) {
  const auto found = NamedSets().Find(name);
  if (!found) {
    throw Error(ErrorCode::kNotFound,
                "{}: these pictures were in memory and are gone; give them again, or as files",
                Printable(name));
  }
  return std::make_unique<SharedSet>(*found);
}

}  // namespace cliplens
