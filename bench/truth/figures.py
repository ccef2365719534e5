"""Figures as SVG: the same bytes for the same numbers."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = {"object": "#0072b2", "background": "#009e73", "effect": "#e69f00", "position": "#cc79a7",
           "style": "#d55e00", "size": "#56b4e9", "count": "#f0e442", None: "#999999"}
FONT = 'font-family="sans-serif" font-size="{}"'


class Drawing:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def rect(self, x, y, width, height, fill, opacity=1.0, stroke="none"):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                          f'height="{height:.1f}" fill="{fill}" fill-opacity="{opacity:.2f}" stroke="{stroke}"/>')

    def line(self, x1, y1, x2, y2, colour="#444", dash=""):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{colour}"{dashed}/>')

    def circle(self, x, y, r, fill):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{fill}" '
                          'fill-opacity="0.8"/>')

    def text(self, x, y, text, size=11, anchor="start", colour="#222"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {FONT.format(size)} '
                          f'text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>')

    def svg(self):
        return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                          f'height="{self.height}" viewBox="0 0 {self.width} {self.height}">',
                          f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>',
                          *self.parts, "</svg>"]) + "\n"


def legend(drawing, x, y, names):
    for name in names:
        drawing.rect(x, y - 9, 10, 10, COLOURS[name])
        drawing.text(x + 14, y, name)
        x += 26 + 6.5 * len(name)


def grid(titles, truths):
    """Layers x heads of each model, coloured by the first factor, as strong as its share. A frame
    stands around clear heads; a mark, where the first factor by total effect is another."""
    cell, left, top = 44, 40, 54
    names = sorted({head["first"] for truth in truths for head in truth})
    width = 2 * (left + 6 * cell + 14)
    rows = (len(truths) + 1) // 2
    height = top + rows * (6 * cell + 44)
    drawing = Drawing(width, height)
    legend(drawing, 16, 20, names)
    for n, (title, truth) in enumerate(zip(titles, truths)):
        x0 = left + (n % 2) * (width / 2)
        y0 = top + (n // 2) * (6 * cell + 44)
        drawing.text(x0, y0 - 8, title, 12)
        for head in truth:
            layer, number = (int(part[1:]) for part in head["head"].split("."))
            x, y = x0 + number * cell, y0 + (5 - layer) * cell
            share = head["share"]
            drawing.rect(x + 1, y + 1, cell - 3, cell - 3, COLOURS[head["first"]],
                         min(1.0, 0.15 + share), "#000" if head["clear"] else "none")
            drawing.text(x + cell / 2, y + cell / 2 + 4, f"{100 * share:.0f}", 11, "middle")
            if head.get("differs"):
                drawing.circle(x + cell - 8, y + 8, 3, COLOURS[head["total_first"]])
        for layer in range(6):
            drawing.text(x0 - 6, y0 + (5 - layer) * cell + cell / 2 + 4, f"L{layer}", 11, "end")
        for number in range(6):
            drawing.text(x0 + number * cell + cell / 2, y0 + 6 * cell + 14, f"H{number}", 11,
                         "middle")
    return drawing.svg()


def reliability(panels):
    """Reliability diagrams: [(title, [(heads, confidence, share right)])]."""
    side, left, top = 220, 46, 40
    drawing = Drawing(len(panels) * (side + left + 20) + 10, side + top + 50)
    for n, (title, bins) in enumerate(panels):
        x0, y0 = left + n * (side + left + 20), top
        drawing.text(x0, y0 - 14, title, 12)
        drawing.rect(x0, y0, side, side, "none", stroke="#444")
        drawing.line(x0, y0 + side, x0 + side, y0, "#999", "4 3")
        for tick in (0, 0.5, 1):
            drawing.text(x0 + tick * side, y0 + side + 15, f"{tick:g}", 11, "middle")
            drawing.text(x0 - 6, y0 + side - tick * side + 4, f"{tick:g}", 11, "end")
        drawing.text(x0 + side / 2, y0 + side + 32, "confidence", 11, "middle")
        drawing.text(x0 + 4, y0 + 14, "share right", 11)
        for heads, confidence, right in bins:
            drawing.circle(x0 + confidence * side, y0 + side - right * side,
                           2 + heads ** 0.5 / 4, COLOURS["object"])
    return drawing.svg()


def bars(rows):
    """Fidelity of methods, a mean with its range: [(name, mean, least, most)]."""
    left, width, step = 280, 360, 22
    drawing = Drawing(left + width + 60, 30 + step * len(rows) + 24)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = left + tick * width
        drawing.line(x, 20, x, 24 + step * len(rows), "#ccc")
        drawing.text(x, 40 + step * len(rows), f"{tick:g}", 11, "middle")
    for i, (name, mean, least, most) in enumerate(rows):
        y = 26 + i * step
        own = name.startswith("own answers")
        drawing.text(left - 8, y + 11, name, 12, "end")
        drawing.rect(left, y, mean * width, step - 8, COLOURS["object"] if own else "#999")
        drawing.line(left + least * width, y + 7, left + most * width, y + 7, "#000")
        drawing.text(left + most * width + 6, y + 11, f"{mean:.2f}", 11)
    return drawing.svg()


def curves(lines, across, up):
    """Curves over a logarithmic scale, a panel for each title: [(panel, name, colour, [(x, y)])],
    with y in [0, 1] and colours by the names of COLOURS."""
    width, height, left, top, gap = 300, 220, 46, 74, 40
    titles = list(dict.fromkeys(panel for panel, *_ in lines))
    drawing = Drawing(left + len(titles) * (width + gap), top + height + 50)
    least, most = (pick(x for *_, points in lines for x, _ in points) for pick in (min, max))
    for n, title in enumerate(titles):
        x0 = left + n * (width + gap)
        drawing.text(x0, 16, title, 12)

        def at(x, y):
            return (x0 + width * math.log(x / least) / math.log(most / least),
                    top + height * (1 - min(1, max(0, y))))
        for tick in (0, 0.25, 0.5, 0.75, 1):
            y = at(least, tick)[1]
            drawing.line(x0, y, x0 + width, y, "#ddd")
            drawing.text(x0 - 6, y + 4, f"{tick:g}", 11, "end")
        for tick in sorted({x for *_, points in lines for x, _ in points}):
            drawing.text(at(tick, 0)[0], top + height + 15, f"{tick:g}", 10, "middle")
        drawing.text(x0 + width / 2, top + height + 34, f"{across} (up: {up})", 11, "middle")
        for row, (_, name, colour, points) in enumerate(line for line in lines if line[0] == title):
            drawing.rect(x0, 22 + 14 * row, 10, 10, COLOURS[colour])
            drawing.text(x0 + 14, 31 + 14 * row, name, 10)
            places = [at(*point) for point in points]
            for (x1, y1), (x2, y2) in zip(places, places[1:]):
                drawing.line(x1, y1, x2, y2, COLOURS[colour])
            for place in places:
                drawing.circle(*place, 3, COLOURS[colour])
    return drawing.svg()
