"""The report: a page for a browser that shows a video's persons; page, style and scripts."""
