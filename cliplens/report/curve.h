// Curves with their bounds as SVG.
//
//   const Curve curve = {.title = "Accuracy", .x_title = "layers", .y_title = "%",
//                        .series = {{"attention", {{98, 97, 99}, {95, 93, 96}}}}};
//   WriteFileAtomically("accuracy.svg", RenderCurve(curve));
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/bootstrap.h"

namespace cliplens {

struct CurveSeries {
  std::string name;
  std::vector<Estimate> points;  // at x = first_x, first_x + 1 …
};

struct Curve {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<CurveSeries> series;  // at most four
  Index first_x = 0;                // x of the first points
};

// A figure of 640 x 400 units with axes, a legend, and the bounds as bands. It sets its own colours
// and reads well in print and on dark pages. `embedded` leaves the XML declaration off, for use
// within a page. Text is escaped.
std::string RenderCurve(const Curve& curve, bool embedded = false);

}  // namespace cliplens
