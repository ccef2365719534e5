// Two stores of the same pictures by models of one shape, such as before and after fine-tuning:
// what changed in heads, labels, accuracy and answers.
//
//   const Store other = Store::Open("after/");
//   const ComparisonReport report =
//       CompareStores(store, other, {.classes = {.classes = "objects.txt"}}, {});
//   for (const ComponentChange* head : HeadsByChange(report, ChangeOrder::kSimilarity)) {
//     Print(NameOf(head->id), head->similarity->value);
//   }
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/answer_change.h"
#include "cliplens/analysis/common_pictures.h"
#include "cliplens/analysis/component_change.h"
#include "cliplens/app/heat_maps.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/models.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/base/component.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// A head's label in one model.
struct ComparedLabel {
  std::string label;  // empty: none
  double confidence = 0;
};
struct ComparedLabels {
  std::string name;  // of the property table, or of the files
  std::map<HeadId, ComparedLabel> a = {}, b = {};
  Index heads = 0;    // labelled or found to have none in both
  Index changed = 0;  // of these, heads whose label differs
};

struct ComparedAnswers {
  std::string classes_name;
  std::vector<std::string> classes;
  Index templates = 0;
  Index foreign = 0;  // common pictures whose label is no class
  CommonPictures common;
  Components components;  // that flips number
  AnswerChange change;
};

// One map under both models.
struct MapPair {
  MappedPicture picture_a, picture_b;
  HeatMapPanel a, b;
};

struct ComparisonReport {
  StoreInfo a, b;
  StoreChange change;
  std::optional<ComparedLabels> labels;
  std::optional<ComparedAnswers> answers;
  std::vector<MapPair> maps;
  Index flips = 0;  // that are listed
  // Sentences: what was asked for and cannot be shown, and how to get it.
  std::vector<std::string> missing;
};

struct ComparisonChoice {
  ModelChoice model = {}, other_model = {};    // the stores' own where empty
  ClassChoice classes = {};                    // accuracy and flips; no classes: neither
  std::string properties = {};                 // a property table: labels of both; or
  std::string labels = {}, other_labels = {};  // label files
  // What is there already of the first store's labels by `properties`, of any heads; may be null.
  const LabelReport* labelled = nullptr;
  Index most_images = 2000;  // that components are compared on
  Index flips = 10;          // listed
  // Heat maps: of texts over a picture; of the listed flips, whose pictures lie at `images` or
  // where the first store says.
  std::string image = {};
  std::vector<std::string> texts = {};
  bool map_flips = false;
  std::string images = {};
};

// The stages are "components", "classes", "pictures", "texts" and "heads". Throws as
// CompareComponents, OpenClassifier, MatchLabels, MakeLabels, ReadLabelFile and PanelsOf, and
// Error(kInvalidArgument) for a picture that has another label in the other store.
ComparisonReport CompareStores(const Store& a, const Store& b, const ComparisonChoice& choice,
                               const Work& work);

enum class ChangeOrder {
  kSimilarity,  // the least alike first; heads that have none come last
  kShare,       // the largest change of the share, either way, first
};
// The heads.
std::vector<const ComponentChange*> HeadsByChange(const ComparisonReport& report,
                                                  ChangeOrder order);
// Numbers of the components that changed a flip's margin most, towards the new answer first.
std::vector<Index> ComponentsOfFlip(const Flip& flip);

}  // namespace cliplens
