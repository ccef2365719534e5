// The report's sections on heads: a table of all at a glance, and a card for each.
//
//   const RankedHeads ranked(input);
//   const PagePictures pictures(input.items, input.thumbnails);
//   Print(GlanceSection(input, ranked, pictures) + CardsSection(input, ranked, pictures));
#pragma once

#include <string>
#include <vector>

#include "cliplens/report/html_pictures.h"
#include "cliplens/report/html_report.h"

namespace cliplens {

// The text of the pool. Throws Error(kInvalidArgument) for an index outside of it.
const std::string& TextOfPool(const TextPool& pool, const SpanText& text);

// The heads of a page in its order, each with its share.
struct RankedHeads {
  explicit RankedHeads(const ReportInput& input);

  struct Ranked {
    const ReportHead* head;
    const ComponentShare* share;
    Index place = 0;  // by share among all heads of the model, on the page or not
  };
  std::vector<Ranked> heads;  // largest share first
  Index in_model = 0;         // heads of the whole model
};

// Both throw Error(kInvalidArgument) for an index outside of the pool or the items.
std::string GlanceSection(const ReportInput& input, const RankedHeads& ranked,
                          const PagePictures& pictures);
std::string CardsSection(const ReportInput& input, const RankedHeads& ranked,
                         const PagePictures& pictures);

}  // namespace cliplens
