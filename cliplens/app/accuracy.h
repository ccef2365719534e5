// What analyses of accuracy on a store need: classes, their rows, the pictures' labels. Also
// reconstruction with several pools of texts.
//
//   const AccuracyInput input = OpenAccuracy(store, model, {.classes = "objects.txt"}, {});
//   Ablate(store, store.statistics(), input.classifier.rows, input.labels.classes, {});
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/reconstruction.h"
#include "cliplens/app/models.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// What an analysis of accuracy was measured on.
struct AccuracySetting {
  StoreInfo store;
  std::string classes_name;  // of the class file
  Index classes = 0;
  Index templates = 0;
  Index foreign = 0;  // pictures whose label is no class
  std::string means;  // the store whose means are used; empty: the store's own
};

struct AccuracyInput {
  AccuracySetting setting;
  ClassFile classes;
  Classifier classifier;
  MatchedLabels labels;  // of the store's pictures
};

// Throws as OpenClassifier and MatchLabels. The labels are matched before texts are embedded.
AccuracyInput OpenAccuracy(const Store& store, const RowModel& model, const ClassChoice& choice,
                           const Work& work);
// The same of a store of any kind with these items; `place` is its directory.
AccuracyInput OpenAccuracy(const StoreInfo& info, const std::vector<Item>& items,
                           const std::string& place, const RowModel& model,
                           const ClassChoice& choice, const Work& work);

struct ReconstructionChoice {
  std::vector<std::string> texts;  // pools, as TextsPath takes them
  ClassChoice classes = {};
  ReconstructionOptions options = {};  // but for threads and progress
  Index random = 0;  // number of random pools, as controls, with the spectrum of the first
};
struct PoolReconstruction {
  std::string pool;
  Index texts = 0;
  ReconstructionResult result;
  Index blank = 0;  // blank lines of its file
};
struct ReconstructionReport {
  AccuracySetting setting;
  Index layers = 0;                       // that are reconstructed
  std::vector<PoolReconstruction> pools;  // the controls behind the first
};
// The stages are "classes", "texts" and "pictures". Throws as ReadTextPool, OpenAccuracy,
// RowsOfPool and Reconstruct.
ReconstructionReport ReconstructPools(const Store& store, const LazyModel& model,
                                      const ReconstructionChoice& choice, const Work& work);

}  // namespace cliplens
