// Accuracy by group of a store: as it is, with an edit, with random heads, with the paper's recipe.
//
//   const GroupReport report = MakeGroups(store, model,
//                                         {.classes = {.classes = "birds.txt"},
//                                          .attribute = "place_kind",
//                                          .edit = "edit.json"},
//                                         {});
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/groups.h"
#include "cliplens/app/accuracy.h"
#include "cliplens/app/cues.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/work.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

struct GroupChoice {
  ClassChoice classes = {};
  std::string attribute = {};  // of the pictures, that makes groups of each class
  std::string edit = {};       // a file, or
  ComponentChoice which = {};  // components to replace by means; neither: no edit
  std::string means = {};      // store whose means are used; empty: the store's own
  Index random = 5;            // draws of as many random heads
  std::uint64_t seed = 1;      // of the draws
  bool skip_empty = false;     // groups without pictures are left out
  // Groups weighted by their pictures in another set: a store, or pictures as OpenImageSet takes
  // them, of which a split is counted where one is named.
  std::string weights_from = {};
  std::string weights_split = {};
  bool lean = false;  // also say how far the class logits follow the attribute before any edit
};

// How far the class logits follow the attribute within each class, or why that is not known.
struct GroupLean {
  CueReport report;
  std::string unknown;
};

// The pictures by which groups are weighted.
struct GroupWeights {
  std::string from;
  Index images = 0;            // that have a class and a value of the attribute
  std::vector<double> counts;  // of each group, class by class
};

struct GroupReport {
  AccuracySetting setting;  // its means: those of random heads and of the recipe
  std::vector<std::string> classes;
  std::string attribute;
  std::vector<std::string> values;
  Index without = 0;       // pictures without the attribute
  std::string edit;        // file; empty where heads were named
  std::string edit_means;  // whose means the edit has
  std::string edit_names;  // its components
  std::uint64_t seed = 1;  // of the random heads
  Index draws = 0;
  double means_distance = 0;      // of the edit's means from the store's own
  double other_distance = 0;      // of the means of random heads and of the recipe
  std::optional<GroupLean> lean;  // where it was asked for
  std::optional<GroupWeights> weights;
  GroupResult result;  // rows base, edit ..., random-1 ... random-n, recipe ...
};

// The stages are "classes", "cue" and "pictures". Throws as OpenAccuracy, GroupByAttribute,
// ReadEditFor, ChooseTargets and EvaluateGroups, and Error(kInvalidArgument) for a group without
// pictures and for weights of pictures none of which is in a group.
GroupReport MakeGroups(const Store& store, const RowModel& model, const GroupChoice& choice,
                       const Work& work);

}  // namespace cliplens
