// A directory that is there whole or not at all.
//
// Files go to `DIRECTORY.partial`, which Commit() renames to `DIRECTORY`. Dropped without Commit,
// it removes what it wrote.
#pragma once

#include <filesystem>

namespace cliplens {

class PartialDirectory {
 public:
  // Throws Error(kPrecondition) when `directory` or its partial exists, kNotFound when its parent
  // does not.
  explicit PartialDirectory(const std::filesystem::path& directory);
  ~PartialDirectory();
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  // Where to write.
  const std::filesystem::path& path() const { return partial_; }
  void Commit();

 private:
  std::filesystem::path final_;
  std::filesystem::path partial_;
  bool committed_ = false;
};

}  // namespace cliplens
