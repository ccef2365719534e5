// Measures whether a classifier relies on a cue, and makes the edit that removes it.
//
//   const SuggestedEdit found = SuggestEdit(store, LazyModel(store, {}),
//                                           {.classes = {.classes = "birds.txt"},
//                                            .cue = {.texts = {"on the sea", "in a forest"}}},
//                                           {});
//   if (found.edit) WriteEdit("edit.json", *found.edit);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/cue.h"
#include "cliplens/app/models.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// The result of FindCue, with names.
struct CueReport {
  StoreInfo store;
  std::string classes_name;  // of the class file
  std::vector<std::string> classes;
  std::string cue;  // "texts", or the attribute
  std::vector<std::string> groups;
  bool own_answers = true;  // the groups are the model's own answers to texts
  bool within_classes = false;
  std::string means;  // the store whose means the edit has
  std::string out;    // the edit's file; empty where none was written
  CueResult result;
};

// The pictures' groups by an attribute.
Grouping GroupingBy(const AttributeGroups& attribute);

// What the cue is: one of the three.
struct CueChoice {
  std::vector<std::string> texts = {};  // the model's own answers are the groups
  std::string file = {};       // the same for a pool, in which a text's property is its group
  std::string attribute = {};  // of the pictures
};

struct SuggestOptions {
  ClassChoice classes = {};
  CueChoice cue = {};
  bool within_classes = false;  // the cue is measured within each class, by the pictures' labels
  Index most_images = CueOptions{}.most_images;
  std::string means = {};  // store whose means the edit has; empty: the store's own
};

struct SuggestedEdit {
  CueReport report;
  std::optional<Edit> edit;  // none where no head is chosen
};
// The stages are "classes" and "pictures". Throws as ReadClasses, FindCue and MeansChoice, and
// Error(kInvalidArgument) for a cue of fewer than two groups or of too many.
SuggestedEdit SuggestEdit(const Store& store, const LazyModel& model, const SuggestOptions& options,
                          const Work& work);

}  // namespace cliplens
