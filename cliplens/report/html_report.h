// The report: one self-contained HTML page on what the heads of a model do on a set of pictures.
//
//   const Store store = Store::Open("store/");
//   const TextPool pool = ReadTextPool("phrases.txt");
//   const Array<float, 2> texts = CachedTexts(model, pool.texts, {});
//   const ReportInput input =
//       CollectReport(store, model.config(), {.heads = heads, .pool = pool, .texts = texts});
//   WriteFileAtomically("report.html", RenderReport(input));
//
// The page needs no network, no script and no other file; the same input gives the same bytes.
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/variance.h"
#include "cliplens/app/report_content.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/config.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens {

// Everything that the page says. Nothing is read or computed while it is written.
struct ReportInput {
  StoreInfo store;
  ModelConfig model;
  TextPool pool;
  std::vector<ComponentShare> shares;  // of all components, as ComponentShares gives them
  std::vector<ReportHead> heads;       // any order; the page puts the largest share first
  ReportExtras extras;
  std::vector<ReportNeighbours> neighbours;  // where there are labels and pictures
  std::vector<Item> items;  // of the store; names the pictures of `extremes` and labels
  ThumbnailSet thumbnails;  // of these pictures
};

struct ReportPlan {
  std::vector<HeadId> heads;
  TextPool pool;
  ArrayView<const float, 2> texts;  // unit rows [M, E], one for each text of the pool
  // The set that the store was made from, found again by the items' paths; null where it is gone:
  // the page then names pictures instead of showing them, and says so.
  const ImageSet* images = nullptr;
  ReportOptions options = {};
};
// Runs the analyses for the heads and makes the pictures small. Throws Error(kInvalidArgument)
// where texts, pool, model and store do not fit together or a head is not in the store.
ReportInput CollectReport(const Store& store, const ModelConfig& model, const ReportPlan& plan,
                          ReportExtras extras = {});

// The page, UTF-8. Throws Error(kInvalidArgument) for an index outside of the pool or the items,
// and for a head without a share.
std::string RenderReport(const ReportInput& input);

}  // namespace cliplens
