// What the report and the explorer say of a store's heads: texts that span them, pictures highest
// and lowest along these texts, neighbours under the heads of a property.
//
//   for (const ReportHead& head : DescribeHeads(store, texts, heads, {.pictures = 6})) {
//     Print(HeadName(head.id), head.span.texts[0].share, head.extremes[0].highest[0].item);
//   }
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/ablation.h"
#include "cliplens/analysis/extremes.h"
#include "cliplens/analysis/text_span.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/comparison.h"
#include "cliplens/app/explanations.h"
#include "cliplens/app/groups.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/neuron_lists.h"
#include "cliplens/app/work.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct ReportOptions {
  TextSpanOptions span = {};  // texts for each head, and the rank in which they are compared
  Index pictured_texts = 3;   // the first texts of a head that get pictures
  Index pictures = 6;         // highest, and as many lowest, along each of them
  int threads = 0;
  ProgressSink progress = {};  // pictures made small
};

struct ReportHead {
  HeadId id;
  TextSpanResult span;
  // Of the first texts of `span`, in their order; empty where the store keeps statistics only.
  // Pictures are ranked by ⟨c − mean, t⟩ with the text t as it is, since people read the whole text
  // beside them, not the part that TextSpan left of it.
  std::vector<Extremes> extremes;
};

// `heads` in their order.
//   texts: unit rows [M, E]
// Throws as TextSpanOfHeads and Store::ReadHead.
std::vector<ReportHead> DescribeHeads(const Store& store, ArrayView<const float, 2> texts,
                                      const std::vector<HeadId>& heads,
                                      const ReportOptions& options);

// The pictures most like one picture under the heads that are labelled with a property, and by the
// whole embedding.
struct ReportNeighbours {
  Index property = 0;  // in the labels' table
  Index heads = 0;     // that are labelled with it, first or second
  Index query = 0;     // the picture
  std::vector<ScoredItem> under_heads, whole;
};
// For each property that labels heads: the neighbours of the two pictures that speak most for the
// head of the largest share. Throws as Search.
std::vector<ReportNeighbours> FindNeighbours(const Store& store, const LabelReport& labels,
                                             const ReportOptions& options);

// Accuracy without parts of the model.
struct ReportAblation {
  AccuracySetting setting;
  AblationResult result;
};

// Results of further analyses; the page has a section for each.
struct ReportExtras {
  std::optional<LabelReport> labels;
  std::optional<ReportAblation> ablation;
  std::optional<GroupReport> groups;
  std::optional<ReportScores> scores;
  std::optional<ComparisonReport> comparison;
  std::optional<ReportNeurons> neurons;
};

// Which further analyses are wanted.
struct ExtrasChoice {
  std::string properties = {};  // a property table: labels; empty: none
  std::string heads = "all";    // that are labelled
  ClassChoice classes = {};     // ablation, where classes are named
  std::string attribute = {};   // groups of classes and this attribute
  std::string edit = {};        // that groups are shown with
  std::string image = {};       // a picture's scores with `texts`
  std::vector<std::string> texts = {};
  std::string beside = {};  // a store of a second model, which is compared with the first
  ModelChoice model = {}, beside_model = {};  // for it
  ReportNeuronsChoice neurons = {};           // with a store: the neurons that matter most
};
// The stages are those of MakeLabels, OpenAccuracy, MakeGroups, OpenReportNeurons, and "ablation".
// Throws as they, Ablate, MakeScores and CompareStores do, and Error(kInvalidArgument) for groups
// without classes and for an edit without groups.
ReportExtras OpenExtras(const Store& store, const ClipModel& model, const ExtrasChoice& choice,
                        const Work& work);

}  // namespace cliplens
