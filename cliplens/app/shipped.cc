#include "cliplens/app/shipped.h"

#include <cstdlib>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/model/hub_cache.h"

namespace cliplens {

namespace fs = std::filesystem;

namespace {

// Whether `path` can be the name of something shipped: no folder in it, and nothing of that name
// here.
bool MayBeShipped(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && path.find('/') == std::string::npos && path != "." && path != ".." &&
         !fs::exists(path, ignored);
}

}  // namespace

fs::path SharePath(const std::string& relative) {
  std::vector<fs::path> roots;
  if (const char* share = std::getenv("CLIPLENS_SHARE"); share != nullptr && *share != '\0') {
    roots.emplace_back(share);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    roots.push_back(program.parent_path().parent_path() / "share" / "cliplens");
    for (fs::path up = program.parent_path(); up.has_relative_path(); up = up.parent_path()) {
      roots.push_back(up);
    }
  }
  for (const fs::path& root : roots) {
    if (fs::exists(root / relative, error)) return root / relative;
  }
  return {};
}

fs::path ShippedPath(const std::string& relative) {
  fs::path path = SharePath(relative);
  if (path.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: not found beside the program; set CLIPLENS_SHARE to the directory that has it "
                "(the source tree, or share/cliplens of an installation)",
                relative);
  }
  return path;
}

fs::path ModelPath(const std::string& model) {
  if (IsHubName(model)) return FindInHubCache(model);
  if (MayBeShipped(model)) {
    fs::path shipped = SharePath("models/" + model);
    if (!shipped.empty()) return shipped;
  }
  return model;
}

fs::path TextsPath(const std::string& texts) {
  if (MayBeShipped(texts)) {
    fs::path shipped = SharePath("texts/" + texts + ".txt");
    if (!shipped.empty()) return shipped;
  }
  return texts;
}

fs::path TextsPath(const std::string& texts, const std::string& otherwise) {
  return texts.empty() ? ShippedPath("texts/" + otherwise + ".txt") : TextsPath(texts);
}

}  // namespace cliplens
