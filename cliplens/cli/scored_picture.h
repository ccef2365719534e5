// What the verbs share that score one picture against texts.
#pragma once

#include <string>
#include <vector>

#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"
#include "cliplens/report/label_report.h"
#include "cliplens/report/score_section.h"

namespace cliplens::cli {

// The picture of --image. Errors name the path.
Image ReadPicture(const std::string& path);

// Maps of the texts over the picture, and the first text's score taken apart. `labels` may be null.
ReportScores MakeScores(const ClipModel& model, const Image& picture, const std::string& path,
                        const std::vector<std::string>& texts, const LabelReport* labels,
                        int threads);

}  // namespace cliplens::cli
