// Heat maps as a sheet of pictures, a table and JSON.
//
//   const TokenPass pass = PassOf(model, picture, threads);
//   const TextMaps maps = {.texts = {"a cat"}, .heads = heads, .heads_text = "heads all"};
//   const HeatMapReport report = {MappedPictureOf(model, picture, "cat.png"),
//                                 PanelsOf(model, pass, maps, threads), /*scale=*/{}};
//   WriteFileAtomically("map.png", EncodePng(HeatMapSheet(report)));
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/app/heat_maps.h"
#include "cliplens/base/array.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"
#include "cliplens/report/canvas.h"

namespace cliplens {

// What speaks for a text, and against it.
inline constexpr Color kForColor{197, 27, 32};
inline constexpr Color kAgainstColor{24, 92, 176};

// The first members of a result on one picture: format, model, picture and region.
Json MappedPictureJson(const char* format, const MappedPicture& picture);

// `value` rounded up to one and a half digits (1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten); 1
// where it is 0.
double RoundScale(double value);

// The picture in grey with the map over it: red for, blue against, in the strength of |score| /
// scale, and pale where the model does not look. Fits width x height.
Image DrawMap(const MappedPicture& picture, ArrayView<const double, 2> grid, double scale,
              Index width, Index height);
// The picture as it is with a frame around what the model looks at.
Image DrawInput(const MappedPicture& picture, Index width, Index height);
// Width and height of a picture that is made to fit a square of `side`.
struct FittedSize {
  Index width = 1, height = 1;
};
FittedSize FitInto(const Image& picture, Index side);
// A bar of colours with its ends and zero in units of the score, at (x, y), some 40 pixels high.
void DrawScale(Canvas& canvas, Index x, Index y, Index width, double scale);

// The colour of `value` / scale in [-1, 1] over grey.
Color MapColor(double value);
// The scale of a report's maps.
double ScaleOf(const HeatMapReport& report);

// A part of a score that comes from no patch: its name for people and in JSON. The class token and
// POOL.MLP are parts where the model has them.
struct RestPart {
  const char* name;
  const char* key;
  double score = 0;
};
// All but the heads that were not chosen; INPUT is last.
std::vector<RestPart> RestParts(const MappedPicture& picture, const ScoreRest& rest);
// "class token +0.0012, MLPs -0.0301"
std::string RestText(std::span<const RestPart> parts);

Image HeatMapSheet(const HeatMapReport& report);
std::string HeatMapTable(const HeatMapReport& report);
// "cliplens.heatmap/1".
Json HeatMapJson(const HeatMapReport& report);

// A map as a list of rows.
Json GridJson(ArrayView<const double, 2> grid);

}  // namespace cliplens
