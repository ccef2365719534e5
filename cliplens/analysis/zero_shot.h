// Zero-shot classification: pictures against class names put into prompt templates.
//
//   const ClassFile classes = ReadClassFile("objects.txt");
//   const Array<float, 2> rows =
//       MakeClassifier(model, classes.names, ReadTemplates("simple"), /*truncate=*/false, threads);
//   const std::unique_ptr<ImageSet> set = OpenImageSet("pictures/");
//   const Array<float, 2> embeddings = EmbedImages(model, *set, threads);
//   const ClassScore best = TopClasses(embeddings.row(0), rows, model.logits(), 1).front();
//   Print(At(classes.names, best.index), best.probability);
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/base/progress.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

// Classifier weights [C, E] by the protocol of OpenAI's CLIP: a class's row is the mean of the unit
// rows of its filled templates, made unit again.
Array<float, 2> MakeClassifier(const RowModel& model, std::span<const std::string> names,
                               std::span<const std::string> templates, bool truncate, int threads,
                               const ProgressSink& progress = {});

// A classifier with its class names and templates.
struct Classifier {
  std::string name;                // of the class file
  std::vector<std::string> names;  // [C]
  std::vector<std::string> templates;
  Array<float, 2> rows;   // [C, E]
  bool truncate = false;  // whether filled templates longer than the context were cut

  // Throws Error(kNotFound) for a name that no class has.
  Index Find(const std::string& class_name) const;
  std::string MeanName() const;  // "the mean of 10 classes"
  Array<float, 2> Mean() const;  // [1, E] of the rows, not made unit
};
// The classifier of MakeClassifier. Its rows are cached between runs, as by CachedTexts.
Classifier CachedClassifier(const RowModel& model, const ClassFile& classes,
                            std::vector<std::string> templates, const CachedTextsOptions& options);

// Unit rows [M, E] of texts. Throws Error(kInvalidArgument) for a text without a word, whose score
// would mean nothing, and as ClipModel::TokenizeTexts does.
Array<float, 2> EmbedWords(const ClipModel& model, const std::vector<std::string>& texts,
                           int threads, bool truncate = false);

struct ClassScore {
  Index index = 0;
  double similarity = 0;   // cosine
  double probability = 0;  // softmax over the classes; with a bias the sigmoid of its own score
};

// The best `count` classes of one unit embedding [E]; ties go to the lower index.
std::vector<ClassScore> TopClasses(std::span<const float> embedding,
                                   ArrayView<const float, 2> classifier, const LogitRule& logits,
                                   Index count);

// Embeddings [B, E] of a set's pictures, in order. Throws the error of a picture that cannot be
// read, with its name.
Array<float, 2> EmbedImages(const ClipModel& model, const ImageSet& set, int threads,
                            const ProgressSink& progress = {});

// Embeddings of the pictures that can be read.
struct EmbeddedImages {
  Array<float, 2> rows;      // [B, E]
  std::vector<Index> index;  // [B]: which picture of the set a row is
  std::vector<SkippedPicture> skipped;
  std::vector<SkippedPicture> incomplete;  // were read, and lack attributes
  Index oriented = 0;                      // PictureErrors::oriented
};
// An edit for the embeddings, or null; edited rows are unit rows again with `normalize`.
struct EmbedEdit {
  const ModelEdit* edit = nullptr;
  bool normalize = true;
};
// With OnError::kSkip the first picture's error is thrown if none can be read. Error(kPrecondition)
// names a picture whose edited row has length 0 and cannot be made unit.
EmbeddedImages EmbedReadableImages(const ClipModel& model, const ImageSet& set, OnError on_error,
                                   int threads, const ProgressSink& progress = {},
                                   const EmbedEdit& edit = {});

}  // namespace cliplens
