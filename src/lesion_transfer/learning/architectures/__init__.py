"""The networks that one parameter chooses among, each as layers that are cut into extractor and decision maker."""
