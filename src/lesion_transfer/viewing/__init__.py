"""Looking at images: a window, a page for the browser, PNG files, and marking lesions by hand."""
