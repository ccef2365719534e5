// The pictures of the report. Each is in the page once and is shown wherever it is needed.
//
//   const PagePictures pictures(input.items, input.thumbnails);
//   std::string page;
//   pictures.PutThumbnails(page);
//   pictures.PutPicture(page, {.item = 12, .score = 0.3});
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cliplens/analysis/extremes.h"
#include "cliplens/base/array.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens {

class PagePictures {
 public:
  // Both must outlive this.
  PagePictures(const std::vector<Item>& items, const ThumbnailSet& thumbnails);

  bool empty() const { return thumbnail_of_.empty(); }
  bool Has(Index item) const { return thumbnail_of_.contains(item); }

  // A picture with its name and score; one without a thumbnail is a blank. Throws
  // Error(kInvalidArgument) for an item that the store lacks.
  void PutPicture(std::string& out, const ScoredItem& scored) const;
  // At most `count` pictures, one after the other.
  void PutFirst(std::string& out, const std::vector<ScoredItem>& pictures, std::size_t count) const;
  // A row of pictures behind a label, or of names where the page has no pictures at all.
  void PutStrip(std::string& out, const char* label, const std::vector<ScoredItem>& pictures) const;
  // The pictures themselves, which the others refer to.
  void PutThumbnails(std::string& out) const;

 private:
  std::string ItemName(const ScoredItem& scored) const;

  const std::vector<Item>& items_;
  std::map<Index, const Thumbnail*> thumbnail_of_;
};

}  // namespace cliplens
