// Sets of pictures in memory, under names by which OpenImageSet finds them.
//
//   const NamedImageSet named("memory:mine", set);
//   OpenImageSet("memory:mine");   // the same set
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cliplens/dataset/image_set.h"

namespace cliplens {

// What the name of a set in memory begins with.
inline constexpr char kMemoryRoot[] = "memory:";
// Whether a path names such a set.
bool IsMemoryRoot(const std::filesystem::path& path);

// While it lives, OpenImageSet gives the set for its name. The set is read by several threads.
class NamedImageSet {
 public:
  // Throws Error(kInvalidArgument) for a name that does not begin as it should, and
  // Error(kPrecondition) where another set has this name.
  NamedImageSet(std::string name, std::shared_ptr<const ImageSet> set);
  ~NamedImageSet();
  NamedImageSet(const NamedImageSet&) = delete;
  NamedImageSet& operator=(const NamedImageSet&) = delete;

  const std::string& path() const { return name_; }
  const ImageSet& set() const { return *set_; }

 private:
  std::shared_ptr<const ImageSet> set_;
  std::string name_;
};

// The set of this name. Throws Error(kNotFound) where none is in memory.
std::unique_ptr<ImageSet> OpenNamedSet(const std::string& name);

}  // namespace cliplens
