// Zero-shot classes of pictures, and the accuracy where labels are known.
//
//   const ChosenEdit edit({}, model);
//   const ClassifyReport report =
//       ClassifyPictures(model, *OpenImages({.images = "photos/"}),
//                        {.classes = {.classes = "objects.txt"}, .count = 1}, edit, {});
//   Print(report.accuracy(), report.labelled);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/texts.h"
#include "cliplens/app/work.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/on_error.h"

namespace cliplens {

struct ClassifyChoice {
  ClassChoice classes = {};
  Index count = 5;  // classes listed for each picture
  OnError on_error = OnError::kStop;
};

struct ClassifyReport {
  struct Picture {
    std::string path;
    std::optional<std::string> label;
    std::vector<ClassScore> top;  // best first
  };
  std::string model_name;
  std::string precision;
  bool sigmoid = false;  // probabilities are of each class by itself, not over all of them
  std::vector<std::string> classes;
  Index templates = 0;
  std::vector<Picture> pictures;
  std::vector<SkippedPicture> skipped;
  std::vector<SkippedPicture> incomplete;  // were read, and lack attributes
  LeftOut left_out;                        // of the set
  Index labelled = 0;                      // pictures whose label is a class
  Index correct = 0;                       // of these
  Index foreign = 0;                       // pictures whose label is no class
  Index oriented = 0;                      // PictureErrors::oriented

  double accuracy() const {
    return labelled > 0 ? static_cast<double>(correct) / static_cast<double>(labelled) : 0.0;
  }
};

// The stages are "classes" and "pictures". Throws as OpenClassifier and EmbedReadableImages, and
// Error(kNotFound) where no picture has the attribute that should hold the label.
ClassifyReport ClassifyPictures(const ClipModel& model, const ImageSet& set,
                                const ClassifyChoice& choice, const ChosenEdit& edit,
                                const Work& work);

}  // namespace cliplens
