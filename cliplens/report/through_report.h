// A score split over the neurons of a layer: tables, JSON, and a part of an explanation's sheet.
//
//   Print(ThroughTable(*report.through, report.grid));
//   Canvas canvas(1000, ThroughHeight(*report.through, report.picture, 1000));
//   DrawThrough(canvas, *report.through, report.picture, /*x=*/0, /*y=*/0, /*width=*/1000);
#pragma once

#include <string>

#include "cliplens/app/explanations.h"
#include "cliplens/io/json.h"
#include "cliplens/report/heat_map_report.h"

namespace cliplens {

// The parts of the score, and the strongest neurons. `grid`: patches in a row of the picture.
std::string ThroughTable(const ScoreThrough& through, Index grid);
// "through" of "cliplens.explain/1".
Json ThroughJson(const ScoreThrough& through);

// The parts, and the strongest neurons: of the image tower a small map of each, of the text tower
// the words on a ground of what each brings. As many as fit three rows of maps, or 24 texts.
void DrawThrough(Canvas& canvas, const ScoreThrough& through, const MappedPicture& picture, Index x,
                 Index y, Index width);
// How high that is.
Index ThroughHeight(const ScoreThrough& through, const MappedPicture& picture, Index width);

}  // namespace cliplens
