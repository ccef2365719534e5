#include "cliplens/report/curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

constexpr double kWidth = 640, kHeight = 400;
constexpr double kLeft = 64, kRight = 16, kTop = 56, kBottom = 48;
constexpr double kLinesLegend = 20;  // that lines add to kTop
// Colours that people with any colour vision tell apart (Okabe and Ito).
constexpr std::array<const char*, kMostCurveSeries> kColors = {"#0072b2", "#d55e00", "#009e73",
                                                               "#cc79a7"};
constexpr std::array<const char*, 4> kDashes = {"2 3", "9 4", "9 3 2 3", "4 4"};

// A round step that divides `range` into about `parts`.
double RoundStep(double range, int parts) {
  const double rough = range / parts;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

// The vertical axis that all values fit on.
struct Axis {
  double low = 0, high = 1, step = 1;
  bool cut = false;  // begins above 0
};

Axis AxisOf(std::span<const Curve> curves) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Curve& curve : curves) {
    for (const CurveSeries& series : curve.series) {
      for (const Estimate& p : series.points) {
        low = std::min({low, p.low, p.value});
        high = std::max({high, p.high, p.value});
      }
    }
    for (const CurveLine& line : curve.lines) {
      low = std::min(low, line.value);
      high = std::max(high, line.value);
    }
  }
  Axis axis;
  constexpr double kNarrow = 0.3;  // of the largest value
  axis.cut = low > 0 && high > low && high - low < kNarrow * high;
  if (!axis.cut) {
    low = std::min(low, 0.0);
    high = std::max(high, 0.0);
  }
  if (high <= low) high = low + 1;
  axis.step = RoundStep(high - low, 5);
  axis.low = std::floor(low / axis.step) * axis.step;
  axis.high = std::ceil(high / axis.step) * axis.step;
  axis.cut = axis.cut && axis.low > 0;
  return axis;
}

std::string Opening(bool embedded, double width, double height, const std::string& title) {
  std::string out;
  if (!embedded) out += "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format(
      "<svg{} viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n",
      embedded ? "" : " xmlns=\"http://www.w3.org/2000/svg\"", width, height, EscapeHtml(title));
  if (!embedded) {
    out += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"#fff\"/>\n", width, height);
  }
  return out;
}

class Plot {
 public:
  Plot(const Curve& curve, const Axis& axis)
      : curve_(curve), axis_(axis), top_(kTop + (curve.lines.empty() ? 0 : kLinesLegend)) {
    for (const CurveSeries& series : curve.series) {
      points_ = std::max(points_, std::ssize(series.points));
    }
  }

  std::string Render() {
    Text(kLeft, 20, "start", curve_.title, 15);
    PutAxes();
    for (std::size_t i = 0; i < curve_.series.size(); ++i) PutBand(i);
    for (std::size_t i = 0; i < curve_.lines.size(); ++i) PutLine(i);
    for (std::size_t i = 0; i < curve_.series.size(); ++i) PutSeries(i);
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void Put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  void Text(double x, double y, const char* anchor, const std::string& text, int size = 13) {
    Put("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" "
        "fill=\"currentColor\">{}</text>\n",
        x, y, anchor, size, EscapeHtml(text));
  }

  // Of the point with this number.
  double X(Index point) const {
    double share = 0.5;
    if (points_ > 1 && curve_.counts.empty()) {
      share = static_cast<double>(point) / static_cast<double>(points_ - 1);
    } else if (points_ > 1) {
      const auto place = [&](Index i) {
        return std::log(static_cast<double>(At(curve_.counts, i)));
      };
      share = (place(point) - place(0)) / (place(points_ - 1) - place(0));
    }
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  double Y(double y) const {
    return kHeight - kBottom -
           (y - axis_.low) / (axis_.high - axis_.low) * (kHeight - top_ - kBottom);
  }

  void PutNumbersOfX() {
    constexpr double kApart = 36;  // of numbers on the axis
    if (curve_.counts.empty()) {
      const double last = std::max(1.0, static_cast<double>(points_) - 1);
      const auto every = static_cast<Index>(std::max(1.0, std::round(RoundStep(last, 12))));
      for (Index i = 0; i < points_; i += every) {
        Text(X(i), kHeight - kBottom + 20, "middle", fmt::format("{}", i + curve_.first_x));
      }
      return;
    }
    double before = -kApart;
    for (Index i = 0; i < points_; ++i) {
      if (X(i) - before < kApart) continue;
      before = X(i);
      Text(before, kHeight - kBottom + 20, "middle", fmt::format("{}", At(curve_.counts, i)));
    }
  }

  void PutAxes() {
    const int lines = static_cast<int>(std::lround((axis_.high - axis_.low) / axis_.step));
    const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(axis_.step))));
    for (int i = 0; i <= lines; ++i) {
      const double y = axis_.low + i * axis_.step;
      Put("<path d=\"M{:.1f} {:.1f}H{:.1f}\" stroke=\"currentColor\" stroke-opacity=\"0.2\"/>\n",
          kLeft, Y(y), kWidth - kRight);
      Text(kLeft - 8, Y(y) + 4, "end", FormatFixed(y, decimals));
    }
    PutNumbersOfX();
    Text((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", curve_.x_title);
    Put("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\" "
        "fill=\"currentColor\">{}{}</text>\n",
        (top_ + kHeight - kBottom) / 2, EscapeHtml(curve_.y_title),
        axis_.cut ? fmt::format("; the axis begins at {}", FormatFixed(axis_.low, decimals)) : "");
  }

  // A dashed line, and its place in the second row of the legend.
  void PutLine(std::size_t number) {
    const CurveLine& line = curve_.lines[number];
    const char* dash = kDashes[number % kDashes.size()];
    const auto stroke = [&](double x, double y, double length) {
      Put("<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"currentColor\" stroke-width=\"1.5\" "
          "stroke-dasharray=\"{}\"/>\n",
          x, y, length, dash);
    };
    stroke(kLeft, Y(line.value), kWidth - kLeft - kRight);
    const double x = LegendX(number, curve_.lines.size());
    stroke(x, 57, 30);
    Text(x + 36, 61, "start", line.name);
  }

  static double LegendX(std::size_t number, std::size_t all) {
    const double room = (kWidth - kLeft) / static_cast<double>(all);
    return kLeft + static_cast<double>(number) * std::min(190.0, room);
  }

  void PutBand(std::size_t number) {
    const CurveSeries& series = curve_.series[number];
    std::string band;
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const double x = X(static_cast<Index>(i));
      band += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x, Y(series.points[i].high));
    }
    for (std::size_t i = series.points.size(); i-- > 0;) {
      band += fmt::format("L{:.1f} {:.1f}", X(static_cast<Index>(i)), Y(series.points[i].low));
    }
    Put("<path d=\"{}Z\" fill=\"{}\" fill-opacity=\"0.2\"/>\n", band,
        kColors[number % kColors.size()]);
  }

  void PutSeries(std::size_t number) {
    const CurveSeries& series = curve_.series[number];
    const char* color = kColors[number % kColors.size()];
    std::string line;
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      line += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", X(static_cast<Index>(i)),
                          Y(series.points[i].value));
    }
    Put("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", line, color);
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      Put("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", X(static_cast<Index>(i)),
          Y(series.points[i].value), color);
    }
    const double x = LegendX(number, curve_.series.size());
    Put("<path d=\"M{:.1f} 37h20\" stroke=\"{}\" stroke-width=\"2\"/>\n", x, color);
    Text(x + 26, 41, "start", series.name);
  }

  const Curve& curve_;
  const Axis& axis_;
  double top_;
  Index points_ = 0;
  std::string out_;
};

void CheckCurve(const Curve& curve) {
  const bool empty = std::ranges::any_of(
      curve.series, [](const CurveSeries& series) { return series.points.empty(); });
  if (curve.series.empty() || curve.series.size() > kColors.size() || empty) {
    throw Error(ErrorCode::kInvalidArgument,
                "curve: {} series, each with points; 1 to {} can be drawn", curve.series.size(),
                kColors.size());
  }
  const auto fits = [&](const CurveSeries& series) {
    return curve.counts.empty() || series.points.size() == curve.counts.size();
  };
  const bool ascend =
      std::ranges::adjacent_find(curve.counts, std::greater_equal<>()) == curve.counts.end();
  if (std::ranges::all_of(curve.series, fits) && ascend &&
      (curve.counts.empty() || curve.counts.front() > 0) && curve.lines.size() <= kDashes.size()) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "curve: {} counts and {} lines; counts ascend from 1 or more, one for each point, "
              "and {} lines can be drawn",
              curve.counts.size(), curve.lines.size(), kDashes.size());
}

}  // namespace

std::string RenderCurve(const Curve& curve, bool embedded) {
  CheckCurve(curve);
  return Opening(embedded, kWidth, kHeight, curve.title) +
         Plot(curve, AxisOf({&curve, 1})).Render() + "</svg>\n";
}

std::string RenderPanels(std::span<const Curve> curves) {
  if (curves.empty()) throw Error(ErrorCode::kInvalidArgument, "curve: no panel to draw");
  for (const Curve& curve : curves) CheckCurve(curve);
  const Axis axis = AxisOf(curves);
  const std::size_t columns = std::min<std::size_t>(curves.size(), 2);
  const std::size_t rows = (curves.size() + columns - 1) / columns;
  std::string out = Opening(/*embedded=*/false, kWidth * static_cast<double>(columns),
                            kHeight * static_cast<double>(rows), curves.front().title);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const std::size_t row = i / columns, column = i % columns;
    out += fmt::format("<g transform=\"translate({} {})\">\n", kWidth * static_cast<double>(column),
                       kHeight * static_cast<double>(row));
    out += Plot(curves[i], axis).Render() + "</g>\n";
  }
  return out + "</svg>\n";
}

}  // namespace cliplens
