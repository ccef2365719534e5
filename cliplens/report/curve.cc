#include "cliplens/report/curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

constexpr double kWidth = 640, kHeight = 400;
constexpr double kLeft = 64, kRight = 16, kTop = 56, kBottom = 48;
// Colours that people with any colour vision tell apart (Okabe and Ito).
constexpr std::array<const char*, 4> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7"};

// A round step that divides `range` into about `parts`.
double RoundStep(double range, int parts) {
  const double rough = range / parts;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

class Plot {
 public:
  explicit Plot(const Curve& curve) : curve_(curve) {
    double low = 1, high = 0;
    for (const CurveSeries& series : curve.series) {
      last_ = std::max(last_, static_cast<double>(series.points.size()) - 1);
      for (const Estimate& p : series.points) {
        low = std::min({low, p.low, p.value});
        high = std::max({high, p.high, p.value});
      }
    }
    if (high <= low) high = low + 1;
    step_ = RoundStep(high - low, 5);
    low_ = std::floor(low / step_) * step_;
    high_ = std::ceil(high / step_) * step_;
  }

  std::string Render(bool embedded) {
    if (!embedded) out_ += "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    Put("<svg{} viewBox=\"0 0 {} {}\" role=\"img\" "
        "aria-label=\"{}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n",
        embedded ? "" : " xmlns=\"http://www.w3.org/2000/svg\"", kWidth, kHeight,
        EscapeHtml(curve_.title));
    if (!embedded) Put("<rect width=\"{}\" height=\"{}\" fill=\"#fff\"/>\n", kWidth, kHeight);
    Text(kLeft, 20, "start", curve_.title, 15);
    PutAxes();
    for (std::size_t i = 0; i < curve_.series.size(); ++i) PutSeries(i);
    out_ += "</svg>\n";
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

  double X(double x) const {
    return kLeft + (last_ > 0 ? x / last_ : 0.5) * (kWidth - kLeft - kRight);
  }
  double Y(double y) const {
    return kHeight - kBottom - (y - low_) / (high_ - low_) * (kHeight - kTop - kBottom);
  }

  void PutAxes() {
    const int lines = static_cast<int>(std::lround((high_ - low_) / step_));
    const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step_))));
    for (int i = 0; i <= lines; ++i) {
      const double y = low_ + i * step_;
      Put("<path d=\"M{:.1f} {:.1f}H{:.1f}\" stroke=\"currentColor\" stroke-opacity=\"0.2\"/>\n",
          kLeft, Y(y), kWidth - kRight);
      Text(kLeft - 8, Y(y) + 4, "end", FormatFixed(y, decimals));
    }
    const double every = std::max(1.0, std::round(RoundStep(std::max(1.0, last_), 12)));
    for (double x = 0; x <= last_; x += every) {
      Text(X(x), kHeight - kBottom + 20, "middle",
           fmt::format("{:.0f}", x + static_cast<double>(curve_.first_x)));
    }
    Text((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", curve_.x_title);
    Put("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\" "
        "fill=\"currentColor\">{}</text>\n",
        (kTop + kHeight - kBottom) / 2, EscapeHtml(curve_.y_title));
  }

  void PutSeries(std::size_t number) {
    const CurveSeries& series = curve_.series[number];
    const char* color = kColors[number % kColors.size()];
    std::string line, band;
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const auto x = static_cast<double>(i);
      line += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", X(x), Y(series.points[i].value));
      band += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", X(x), Y(series.points[i].high));
    }
    for (std::size_t i = series.points.size(); i-- > 0;) {
      band += fmt::format("L{:.1f} {:.1f}", X(static_cast<double>(i)), Y(series.points[i].low));
    }
    Put("<path d=\"{}Z\" fill=\"{}\" fill-opacity=\"0.2\"/>\n", band, color);
    Put("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", line, color);
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      Put("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", X(static_cast<double>(i)),
          Y(series.points[i].value), color);
    }
    const double room = (kWidth - kLeft) / static_cast<double>(curve_.series.size());
    const double x = kLeft + static_cast<double>(number) * std::min(190.0, room);
    Put("<path d=\"M{:.1f} 37h20\" stroke=\"{}\" stroke-width=\"2\"/>\n", x, color);
    Text(x + 26, 41, "start", series.name);
  }

  const Curve& curve_;
  double last_ = 0, low_ = 0, high_ = 1, step_ = 1;
  std::string out_;
};

}  // namespace

std::string RenderCurve(const Curve& curve, bool embedded) {
  const bool empty = std::ranges::any_of(
      curve.series, [](const CurveSeries& series) { return series.points.empty(); });
  if (curve.series.empty() || curve.series.size() > kColors.size() || empty) {
    throw Error(ErrorCode::kInvalidArgument,
                "curve: {} series, each with points; 1 to {} can be drawn", curve.series.size(),
                kColors.size());
  }
  return Plot(curve).Render(embedded);
}

}  // namespace cliplens
