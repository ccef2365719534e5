#include "cliplens/model/published_weights.h"

#include <algorithm>

#include "cliplens/base/ascii.h"

namespace cliplens {
namespace {

#include "cliplens/model/published_weights.inc"

std::string CleanArchitecture(std::string_view name) {
  std::string clean(name);
  std::ranges::replace(clean, '/', '-');
  return clean;
}

}  // namespace

std::span<const PublishedWeights> AllPublishedWeights() { return kPublished; }

const PublishedWeights* FindPublishedWeights(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return nullptr;
  const std::string architecture = CleanArchitecture(name.substr(0, slash));
  std::string tag = LowerAscii(name.substr(slash + 1));
  std::ranges::replace(tag, '-', '_');
  const auto found = std::ranges::find_if(kPublished, [&](const PublishedWeights& row) {
    return row.architecture == architecture && row.tag == tag;
  });
  return found == std::end(kPublished) ? nullptr : found;
}

std::string PublishedTags(std::string_view architecture) {
  const std::string clean = CleanArchitecture(architecture);
  std::string tags;
  for (const PublishedWeights& row : kPublished) {
    if (row.architecture == clean) tags += (tags.empty() ? "" : ", ") + std::string(row.tag);
  }
  return tags;
}

}  // namespace cliplens
