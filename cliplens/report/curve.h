// Curves with their bounds as SVG.
//
//   const Curve curve = {.title = "Accuracy", .x_title = "layers", .y_title = "%",
//                        .series = {{"attention", {{98, 97, 99}, {95, 93, 96}}}}};
//   WriteFileAtomically("accuracy.svg", RenderCurve(curve));
//   WriteFileAtomically("by_layer.svg", RenderPanels(curves));   // side by side, on one scale
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cliplens/base/bootstrap.h"

namespace cliplens {

inline constexpr std::size_t kMostCurveSeries = 4;

struct CurveSeries {
  std::string name;
  std::vector<Estimate> points;  // at x = first_x, first_x + 1 …, or at Curve::counts
};

// A value that holds for every x: a dashed line.
struct CurveLine {
  std::string name;
  double value = 0;
};

struct Curve {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<CurveSeries> series;  // at most four
  Index first_x = 0;                // x of the first points
  // x of the points instead, ascending from 1 or more, on a logarithmic axis.
  std::vector<Index> counts = {};
  std::vector<CurveLine> lines = {};  // at most four
};

// A figure of 640 x 400 units with axes, a legend, and the bounds as bands. Its vertical axis
// begins at 0; where all values lie in a narrow band it begins where they do, and its title says
// so. It sets its own colours and reads well in print and on dark pages. `embedded` leaves the XML
// declaration off, for use within a page. Text is escaped. Throws Error(kInvalidArgument) for
// series without points, and for what cannot be drawn.
std::string RenderCurve(const Curve& curve, bool embedded = false);
// One or more such figures, two in a row, with the same vertical axis.
std::string RenderPanels(std::span<const Curve> curves);

}  // namespace cliplens
