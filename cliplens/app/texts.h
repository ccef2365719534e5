// Texts and classes by name, embedded through the cache of texts.
//
//   const Array<float, 2> rows = RowsOfPool(model, pool, /*truncate=*/false, {.threads = 4});
//   const Classifier classes = OpenClassifier(model, {.classes = "objects.txt"}, {});
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

// Classes, and the attribute that holds the pictures' labels.
struct ClassChoice {
  std::string classes = {};            // a class file
  std::string templates = "imagenet";  // a file, imagenet (80) or simple
  std::string label = {};              // attribute that holds the label; empty: the label itself
  bool truncate = false;               // texts longer than the context are cut
};

// Unit rows [M, E] of a pool. The stage is "texts". Throws as CachedTexts.
Array<float, 2> RowsOfPool(const RowModel& model, const TextPool& pool, bool truncate,
                           const Work& work);

// Class names and templates, not embedded yet.
struct ClassTexts {
  ClassFile file;
  std::vector<std::string> templates;
  bool truncate = false;
};
// Throws as ReadClassFile and ReadTemplates.
ClassTexts ReadClasses(const ClassChoice& choice, const OnBlankLines& on_blank);

// The classes with their rows. The stage is "classes". Throws as CachedClassifier.
Classifier EmbedClasses(const RowModel& model, const ClassTexts& classes, const Work& work);
// ReadClasses and EmbedClasses in one.
Classifier OpenClassifier(const RowModel& model, const ClassChoice& choice, const Work& work);

}  // namespace cliplens
