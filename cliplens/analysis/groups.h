// Accuracy by group of pictures, before and after edits.
//
//   const std::vector<GroupVariant> variants = {{"none", {}}, {"edited", edit}};
//   const GroupResult r = EvaluateGroups(store, classifier, groups, variants, {});
//   for (const GroupRow& row : r.rows) Print(row.name, row.worst.value, row.average.value);
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/linear_algebra.h"
#include "cliplens/base/progress.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// A representation that an edit makes.
struct GroupVariant {
  std::string name;
  Edit edit;  // without components: nothing is edited
};

// The edit with means of another set of pictures.
Edit WithMeans(const Edit& edit, const Basis& basis, const Statistics& means);

// Controls with random heads: in every layer each draw takes as many heads at random as the edit
// names one by one, and edits them as the edit does; whole layers, MLPs and INPUT stay. Means come
// from `means`. Draws are the same on every machine. Empty if the edit names no single head.
std::vector<Edit> RandomEdits(const Edit& edit, const Basis& basis, const Statistics& means,
                              Index draws, std::uint64_t seed);

// The recipe of "Interpreting CLIP's Image Representation via Text-Based Decomposition" (arXiv
// 2310.05916), as in its code: besides the edit's heads, it replaces all heads before the last four
// layers, all MLPs and INPUT by their means. Without an edit it replaces only these.
Edit RecipeEdit(const Edit* edit, const StoreInfo& store, const Basis& basis,
                const Statistics& means);

// The distance between the means m of an edit's replaced components and their means m' in the
// store: the root of Σ |m − m'|² / Σ v, where v are the components' variances in the store. It is
// near 0 for two samples of the same pictures. At 1 the means differ as much as a picture differs
// from the mean.
double DistanceOfMeans(const Edit& edit, const Basis& basis, const Statistics& store);

struct PictureGroups {
  std::vector<Index> classes;     // [B] −1: none
  std::vector<Index> attributes;  // [B] −1: none
  Index num_classes = 0;
  Index num_attributes = 0;
  // Of the groups, class by class [C · A]: pictures of another set, such as the training set;
  // empty: none.
  std::vector<double> weights = {};
};

struct GroupFigures {
  Index class_index = 0;
  Index attribute = 0;
  Index count = 0;
  Estimate accuracy;
};

struct GroupRow {
  std::string name;
  std::vector<GroupFigures> groups;  // class by class; only groups with pictures
  Estimate worst;                    // the least accuracy of a group
  Estimate average;                  // over pictures
  Estimate group_mean;               // over groups
  std::optional<Estimate> weighted;  // over groups with their weights, where there are weights
};

struct GroupOptions {
  int threads = 0;
  ProgressSink progress = {};  // pictures
};

struct GroupResult {
  Index images = 0;                                   // pictures with a class and an attribute
  std::vector<std::pair<Index, Index>> empty_groups;  // (class, attribute) without pictures
  std::vector<GroupRow> rows;                         // one for each variant
};

// The block of each picture in Bootstrap: by its path.
std::vector<Index> BootstrapBlocks(std::span<const Item> items);

// The row for given answers [B], the best class of each picture. blocks: as BootstrapBlocks gives
// them. Throws as EvaluateGroups, and Error(kInvalidArgument) where the numbers of pictures differ.
GroupRow RowOfAnswers(const std::string& name, const PictureGroups& groups,
                      std::span<const Index> answers, std::span<const Index> blocks);

// The share of right answers [B] among the pictures with a label (labels [B], −1: none); 0 without
// any. Throws Error(kInvalidArgument) where the numbers of pictures differ.
Estimate AccuracyOfAnswers(std::span<const Index> labels, std::span<const Index> answers,
                           std::span<const Index> blocks);

// A picture is right if its best class is its own; ties go to the lower class. Bounds are those of
// Bootstrap over pictures. Scores are ⟨e_edit, w⟩, computed in K+3 numbers a head.
//   classifier: unit rows [C, E]
// Throws Error(kInvalidArgument) where numbers of pictures or classes differ or no picture has both
// a class and an attribute, and as ReadShard does. The same to the byte for any number of threads.
GroupResult EvaluateGroups(const Store& store, ArrayView<const float, 2> classifier,
                           const PictureGroups& groups, std::span<const GroupVariant> variants,
                           const GroupOptions& options);

}  // namespace cliplens
