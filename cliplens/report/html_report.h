// The report: one self-contained HTML page on what the heads of a model do on a set of pictures.
//
//   const Store store = Store::Open("store/");
//   const TextPool pool = ReadTextPool("phrases.txt");
//   const Array<float, 2> texts = model.EmbedTexts(pool.texts, /*truncate=*/true, /*threads=*/0);
//   const ReportInput input =
//       CollectReport(store, model.config(), pictures.get(), pool, texts, heads, {});
//   WriteFileAtomically("report.html", RenderReport(input));
//
// The page needs no network, no script and no other file; the same input gives the same bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/extremes.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/base/array.h"
#include "cliplens/base/component.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/config.h"
#include "cliplens/report/ablation_report.h"
#include "cliplens/report/group_report.h"
#include "cliplens/report/label_report.h"
#include "cliplens/report/score_section.h"
#include "cliplens/report/thumbnail.h"

namespace cliplens {

struct ReportOptions {
  TextSpanOptions span;      // texts for each head, and the rank in which they are compared
  Index pictured_texts = 3;  // the first texts of a head that get pictures
  Index pictures = 6;        // highest, and as many lowest, along each of them
  int threads = 0;
  ProgressSink progress;  // pictures made small
};

// One head of the page.
struct ReportHead {
  HeadId id;
  TextSpanResult span;
  // Of the first texts of `span`, in their order; empty where the store keeps statistics only.
  std::vector<Extremes> extremes;
};

// Accuracy without parts of the model.
struct ReportAblation {
  AccuracySetting setting;
  AblationResult result;
};

// The pictures most like one picture under the heads that are labelled with a property, and by the
// whole embedding.
struct ReportNeighbours {
  Index property = 0;  // in the labels' table
  Index heads = 0;     // that are labelled with it, first or second
  Index query = 0;     // the picture
  std::vector<ScoredItem> under_heads, whole;
};

// What further analyses say; the page has a section for each that is there.
struct ReportExtras {
  std::optional<LabelReport> labels;
  std::optional<ReportAblation> ablation;
  std::optional<GroupReport> groups;
  std::optional<ReportScores> scores;
};

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

// Runs the analyses for `heads` and makes the pictures small. `images` is the set that the store
// was made from, found again by the items' paths; null where it is gone: the page then names
// pictures instead of showing them, and says so.
//   texts: unit rows [M, E], one for each text of the pool
// Throws Error(kInvalidArgument) where texts, pool, model and store do not fit together or a head
// is not in the store.
ReportInput CollectReport(const Store& store, const ModelConfig& model, const ImageSet* images,
                          const TextPool& pool, ArrayView<const float, 2> texts,
                          const std::vector<HeadId>& heads, const ReportOptions& options,
                          ReportExtras extras = {});

// The page, UTF-8. Throws Error(kInvalidArgument) for an index outside of the pool or the items,
// and for a head without a share.
std::string RenderReport(const ReportInput& input);

}  // namespace cliplens
