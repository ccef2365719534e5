#include "cliplens/report/html_pictures.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/report/markup.h"

namespace cliplens {

PagePictures::PagePictures(const std::vector<Item>& items, const ThumbnailSet& thumbnails)
    : items_(items) {
  for (const Thumbnail& thumbnail : thumbnails.thumbnails) {
    thumbnail_of_[thumbnail.item] = &thumbnail;
  }
}

std::string PagePictures::ItemName(const ScoredItem& scored) const {
  if (scored.item < 0 || scored.item >= static_cast<Index>(items_.size())) {
    throw Error(ErrorCode::kInvalidArgument, "report: picture {}; the store has {}", scored.item,
                items_.size());
  }
  const Item& item = At(items_, scored.item);
  return (item.label ? EscapeHtml(*item.label) + " \u00b7 " : "") + EscapeHtml(item.path);
}

void PagePictures::PutPicture(std::string& out, const ScoredItem& scored) const {
  const std::string name = ItemName(scored);
  const std::string score = FormatSigned(scored.score, 3);
  if (thumbnail_of_.contains(scored.item)) {
    html::Put(out,
              "<svg class=\"t\" role=\"img\"><title>{} \u00b7 {}</title><use href=\"#p{}\"/></svg>",
              name, score, scored.item);
  } else {
    html::Put(out,
              "<span class=\"t gone\" role=\"img\" aria-label=\"{0}, not readable\" title=\"{0} "
              "\u00b7 {1}\"></span>",
              name, score);
  }
}

void PagePictures::PutFirst(std::string& out, const std::vector<ScoredItem>& pictures,
                            std::size_t count) const {
  for (std::size_t k = 0; k < std::min(count, pictures.size()); ++k) PutPicture(out, pictures[k]);
}

void PagePictures::PutStrip(std::string& out, const char* label,
                            const std::vector<ScoredItem>& pictures) const {
  html::Put(out, "<div class=\"row\"><span class=\"end\">{}</span>", label);
  if (thumbnail_of_.empty()) {
    out += "<ol class=\"names\">";
    for (const ScoredItem& scored : pictures) {
      html::Put(out, "<li><bdi>{}</bdi> {}</li>", ItemName(scored), FormatSigned(scored.score, 3));
    }
    out += "</ol></div>\n";
    return;
  }
  out += "<ul class=\"strip\">";
  for (const ScoredItem& scored : pictures) {
    out += "<li>";
    PutPicture(out, scored);
    out += "</li>";
  }
  out += "</ul></div>\n";
}

void PagePictures::PutThumbnails(std::string& out) const {
  if (thumbnail_of_.empty()) return;
  out += "<svg class=\"store\" aria-hidden=\"true\"><defs>\n";
  for (const auto& [item, thumbnail] : thumbnail_of_) {
    html::Put(out,
              "<symbol id=\"p{0}\" viewBox=\"0 0 {1} {1}\"><image width=\"{1}\" height=\"{1}\" "
              "href=\"{2}\"/></symbol>\n",
              item, thumbnail->side, thumbnail->data_uri);
  }
  out += "</defs></svg>\n";
}

}  // namespace cliplens
